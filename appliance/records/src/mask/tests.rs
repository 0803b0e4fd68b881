use super::Masks;

fn masked(text: &str) -> String {
    let patterns = ["KD-[0-9]+".to_owned(), "(?i)badge ([a-z]+)".to_owned(), "(".to_owned()];
    let masks = Masks::new(&["X-Customer".to_owned()], &["iban".to_owned()], &patterns);
    let mut bytes = text.as_bytes().to_vec();
    masks.apply(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(masked(text), *expected);
        assert_eq!(text.len(), expected.len(), "the length stays");
    }
}

#[test]
fn headers() {
    check(&[
        (
            "GET / HTTP/1.1\r\nAuthorization: Bearer abc.def\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nAuthorization: Bearer *******\r\nHost: a\r\n\r\n",
        ),
        ("proxy-authorization: Basic YTpi\r\n", "proxy-authorization: Basic ****\r\n"),
        ("Authorization: rawkey\r\n", "Authorization: ******\r\n"),
        ("Cookie: a=1; bb=22\r\nX: y\r\n", "Cookie: a=*; bb=**\r\nX: y\r\n"),
        ("Set-Cookie: sid=abc; Path=/; HttpOnly\r\n", "Set-Cookie: sid=***; Path=/; HttpOnly\r\n"),
        ("Cookie: opaque\r\n", "Cookie: ******\r\n"),
        ("X-Api-Key: k1\r\nX-Auth-Token:t\r\n", "X-Api-Key: **\r\nX-Auth-Token:*\r\n"),
        ("X-Customer: Jo\r\n", "X-Customer: **\r\n"),
        ("Authorization: Digest a,\r\n b\r\nHost: c", "Authorization: Digest **\r\n *\r\nHost: c"),
        ("Authorization:\r\n", "Authorization:\r\n"),
        ("Location: /in?token=abc&x=1\r\n", "Location: /in?token=***&x=1\r\n"),
        ("Host: example.org\r\nContent-Length: 5\r\n\r\n", "Host: example.org\r\nContent-Length: 5\r\n\r\n"),
    ]);
}

#[test]
fn json() {
    check(&[
        (r#"{"user":"a","password":"s3cret","n":1}"#, r#"{"user":"a","password":"******","n":1}"#),
        (r#"{"Pass-Word" : "a\"b" , "x":"y"}"#, r#"{"Pass-Word" : "****" , "x":"y"}"#),
        (r#"{"client_secret":12345,"t":true}"#, r#"{"client_secret":*****,"t":true}"#),
        (r#"{"token":null,"api_key":true}"#, r#"{"token":null,"api_key":true}"#),
        (r#"{"secrets":["a",{"b":"c]"}],"z":"y"}"#, r#"{"secrets":["*",{"*":"**"}],"z":"y"}"#),
        (r#"{"pass\u0077ord":"x"}"#, r#"{"pass\u0077ord":"*"}"#),
        (r#"{"body":"{\"password\":\"abc\",\"n\":1}"}"#, r#"{"body":"{\"password\":\"***\",\"n\":1}"}"#),
        (r#"{"iban":"DE00"}"#, r#"{"iban":"****"}"#),
        (r#"{"accessToken":"cut of"#, r#"{"accessToken":"******"#),
        (r#"{"name":"password","value":"kept"}"#, r#"{"name":"password","value":"kept"}"#),
    ]);
}

#[test]
fn forms_and_xml() {
    check(&[
        ("user=a&password=b%20c&x=1", "user=a&password=*****&x=1"),
        ("GET /a?api_key=abc HTTP/1.1\r\n", "GET /a?api_key=*** HTTP/1.1\r\n"),
        ("p%61ssword=abc", "p%61ssword=***"),
        ("access_token=&x=1", "access_token=&x=1"),
        (
            "<login><ns:Password a='1'>abc</ns:Password><x>1</x></login>",
            "<login><ns:Password a='1'>***</ns:Password><x>1</x></login>",
        ),
        ("<a password=\"abc\" b=\"c\"/>", "<a password=\"***\" b=\"c\"/>"),
        (
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nabc\r\n--b\r\n",
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n***\r\n--b\r\n",
        ),
    ]);
}

#[test]
fn other_protocols() {
    check(&[
        (
            "*2\r\n$4\r\nAUTH\r\n$3\r\nabc\r\n*1\r\n$4\r\nPING\r\n",
            "*2\r\n$4\r\nAUTH\r\n$3\r\n***\r\n*1\r\n$4\r\nPING\r\n",
        ),
        (
            "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nauth\r\n$1\r\nu\r\n$1\r\np\r\n",
            "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nauth\r\n$1\r\n*\r\n$1\r\n*\r\n",
        ),
        ("AUTH abc\r\nPING\r\n", "AUTH ***\r\nPING\r\n"),
        ("USER a\r\nPASS b\r\n", "USER a\r\nPASS *\r\n"),
        ("CREATE USER a IDENTIFIED BY 'abc'; SELECT 1", "CREATE USER a IDENTIFIED BY '***'; SELECT 1"),
        ("ALTER ROLE a PASSWORD 'abc'", "ALTER ROLE a PASSWORD '***'"),
        ("redis://u:abc@h:1/0", "redis://u:***@h:1/0"),
    ]);
}

#[test]
fn cards() {
    check(&[
        ("4111111111111111", "****************"),
        ("card 4111 1111 1111 1111 12/25", "card ******************* 12/25"),
        ("5500-0000-0000-0004,", "*******************,"),
        (r#"{"pan":378282246310005}"#, r#"{"pan":***************}"#),
        ("4222222222222", "*************"),
        ("6304000000000000000", "*******************"),
        ("4111111111111112", "4111111111111112"),
        ("1700000000000 0000000000000000", "1700000000000 0000000000000000"),
        ("0.4111111111111111", "0.4111111111111111"),
        ("41111111111111111111", "41111111111111111111"),
    ]);
}

#[test]
fn patterns() {
    check(&[
        ("of KD-1234, KD-5", "of *******, ****"),
        ("Badge blue and badge red", "Badge **** and badge ***"),
        ("KD-x", "KD-x"),
    ]);
    let mut bytes = b"\xffKD-12\xc3KD-3\xa4".to_vec();
    Masks::new(&[], &[], &["KD-[0-9]".to_owned()]).apply(&mut bytes);
    assert_eq!(bytes, b"\xff****2\xc3****\xa4");
    assert!(Masks::check_pattern("a+").is_ok());
    for wrong in ["", "(", "(?=a)", &"a".repeat(2_000)] {
        assert!(Masks::check_pattern(wrong).is_err(), "{wrong}");
    }
}

/// Where secrets are in what is kept of requests: forms, nested JSON, the query of a request line, logins.
#[test]
fn requests_with_secrets() {
    check(&[
        (
            "POST /in?next=%2F&token=abc HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nuser=a&passwd=b+c&card=4111111111111111",
            "POST /in?next=%2F&token=*** HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nuser=a&passwd=***&card=****************",
        ),
        (
            r#"[{"a":{"b":[{"login":{"userPassword":"x","pin":1234}}]}}]"#,
            r#"[{"a":{"b":[{"login":{"userPassword":"*","pin":****}}]}}]"#,
        ),
        (
            "*3\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$11\r\nrequirepass\r\n$3\r\nabc\r\n",
            "*3\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$11\r\nrequirepass\r\n$3\r\n***\r\n",
        ),
        ("hello 3 auth default abc setname x\r\n", "hello 3 auth *********************\r\n"),
        ("UPDATE users SET password = 'abc', name = 'b'", "UPDATE users SET password = '***', name = 'b'"),
    ]);
}

#[test]
fn values_of_differences() {
    let masks = Masks::default();
    let value = |path: &str, text: &str| masks.masked(path, text);
    assert_eq!(value("body:$.user.password", "abc"), "***");
    assert_eq!(value("header:set-cookie", "abc"), "***");
    assert_eq!(value("row 3.password", "abc"), "***");
    assert_eq!(value("value[\"session:token\"].data", "abc"), "***");
    assert_eq!(value("body:$.price", "10"), "10");
    assert_eq!(value("body:$.card", "4111111111111111"), "****************");
}

/// Whatever the bytes are, nothing panics.
#[test]
fn nonsense() {
    let pieces = [
        "\"",
        "password",
        ":",
        "=",
        "\\",
        "'",
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        "\r\n",
        " ",
        "4111111111111111",
        "AUTH",
        "$3",
        "://a:b@",
        "name=",
        "%7",
        "\\u00",
        "--",
        "é",
    ];
    let mut state = 1_u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random(20)).flat_map(|_| pieces[random(pieces.len())].bytes()).collect();
        bytes.truncate(random(bytes.len() + 1));
        let length = bytes.len();
        Masks::default().apply(&mut bytes);
        assert_eq!(bytes.len(), length);
    }
}

/// A message of PostgreSQL.
fn postgres(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], &(content.len() as u32 + 4).to_be_bytes()[..], content].concat()
}

fn row_of_postgres(values: &[&str]) -> Vec<u8> {
    let value = |value: &&str| [&(value.len() as u32).to_be_bytes()[..], value.as_bytes()].concat();
    postgres(b'D', &[&[0, values.len() as u8][..], &values.iter().flat_map(value).collect::<Vec<_>>()].concat())
}

#[test]
fn rows_of_postgres() {
    let column = |name: &str| [name.as_bytes(), &[0; 19]].concat();
    let columns = [&[0, 2][..], &column("name"), &column("password_hash")].concat();
    let head = [postgres(b'T', &columns)].concat();
    let answer = [head.clone(), row_of_postgres(&["jo", "hush"]), row_of_postgres(&["al", "sesame"])].concat();
    let expected = [head, row_of_postgres(&["jo", "****"]), row_of_postgres(&["al", "******"])].concat();
    for cut in 0..answer.len() {
        let mut bytes = answer[..cut].to_vec();
        Masks::default().apply(&mut bytes);
        assert_eq!(bytes, expected[..cut]);
    }
}

/// A packet of MySQL.
fn mysql(number: u8, content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8, 0, 0, number], content].concat()
}

fn text_of_mysql(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn column_of_mysql(number: u8, name: &str, kind: u8) -> Vec<u8> {
    let texts: Vec<u8> = ["def", "shop", "u", "users", name, name].into_iter().flat_map(text_of_mysql).collect();
    mysql(number, &[&texts[..], &[12, 33, 0, 0, 1, 0, 0, kind, 0, 0, 0, 0, 0]].concat())
}

#[test]
fn rows_of_mysql() {
    let row = |values: [&str; 2]| mysql(5, &values.into_iter().flat_map(text_of_mysql).collect::<Vec<_>>());
    let binary = |secret: &str| mysql(6, &[&[0, 0][..], &7_u32.to_le_bytes(), &text_of_mysql(secret)].concat());
    let end = mysql(4, &[0xfe, 0, 0, 2, 0]);
    let head = [mysql(1, &[2]), column_of_mysql(2, "id", 3), column_of_mysql(3, "api_key", 253), end.clone()].concat();
    let answer = [head.clone(), row(["jo", "hush"]), binary("sesame"), end.clone()].concat();
    let expected = [head, row(["jo", "****"]), binary("******"), end].concat();
    for cut in 0..answer.len() {
        let mut bytes = answer[..cut].to_vec();
        Masks::default().apply(&mut bytes);
        assert_eq!(bytes, expected[..cut]);
    }
}
