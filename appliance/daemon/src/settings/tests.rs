use super::*;

const WHOLE: &str = r#"
schema_version = 1
[nics]
mirror = ["mirror0"]
target = "target0"
[addressing]
mode = "pool"
pool = ["10.100.20.100-10.100.20.200/24"]
[[service]]
name = "adserver"
origins = ["10.100.10.1:11311", "10.100.10.2:11311"]
targets = ["10.100.20.31:11511"]
protocol = "auto"
pacing = "turns"
sample_percent = 100.0
copies = 1
"#;

fn parse(text: &str, format: Format, purpose: Purpose) -> Result<Settings, SettingsFaults> {
    Settings::read(text, format, purpose)
}

/// Each fault is `field: the beginning of its message`, in order.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = parse(text, Format::Toml, Purpose::Run).err().map_or(Vec::new(), |faults| faults.0);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let as_expected = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(as_expected, "expected {expected:#?}, found {found:#?}");
    let one_sentence = |fault: &String| !fault.contains('\n') && !fault.ends_with('.') && fault.contains(';');
    assert!(found.iter().all(one_sentence), "each fault is one sentence with a mend: {found:#?}");
}

/// The whole document with one line exchanged for another.
#[track_caller]
fn check_line(line: &str, by: &str, expected: &[&str]) {
    assert!(WHOLE.contains(line), "{line}");
    check(&WHOLE.replacen(line, by, 1), expected);
}

#[test]
fn the_reference_is_valid_and_means_what_it_says() {
    let settings = parse(WHOLE, Format::Toml, Purpose::Run).unwrap();
    assert_eq!(settings.mirror, ["mirror0"]);
    assert_eq!(settings.buffer_bytes, 64 << 20);
    assert_eq!(settings.services[0].sample, 10_000);
    assert_eq!(settings.services[0].origins.len(), 2);
    assert_eq!(settings.addressing.pool[0].prefix_len, 24);
    let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
    assert_eq!(again.document, settings.document);
}

#[test]
fn servers_of_the_box_itself() {
    let own = "[time]\nservers = ['192.0.2.1', '[2001:db8::1]:124']\n[syslog]\nserver = '2001:db8::2'\n[nics]";
    let settings = parse(&WHOLE.replace("[nics]", own), Format::Toml, Purpose::Run).unwrap();
    assert_eq!(settings.time_servers, ["192.0.2.1:123", "[2001:db8::1]:124"].map(|text| text.parse().unwrap()));
    assert_eq!(settings.syslog.unwrap().to_string(), "[2001:db8::2]:514 over UDP");
    let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
    assert_eq!(again.document, settings.document);
    for wrong in ["time.example", "192.0.2.1:0", "0.0.0.0", "[::1", "239.0.0.1", ""] {
        let own = format!("[time]\nservers = ['192.0.2.1', '{wrong}']\n[nics]");
        check_line("[nics]", &own, &[&format!("time.servers[1]: `{wrong}` is no server's address")]);
    }
    check_line("[nics]", "[syslog]\n[nics]", &["syslog.server: is missing"]);
    let wrong = "[syslog]\nserver = 'log'\ntransport = 'http'\n[nics]";
    check_line("[nics]", wrong, &["syslog.transport: `http` is not known", "syslog.server: `log` is no server's"]);
    let many = format!("[time]\nservers = [{}]\n[nics]", "'192.0.2.1',".repeat(9));
    check_line("[nics]", &many, &["time.servers: has more than 8 servers"]);
}

#[test]
fn defaults() {
    let text = "schema_version = 1\nservice = [{ origins = ['*:80'], targets = ['10.0.0.1:80'] }]";
    let settings = parse(text, Format::Toml, Purpose::Rehearse).unwrap();
    assert_eq!(settings.services[0].name, "service-1");
    assert_eq!(settings.services[0].sample, 10_000);
}

#[test]
fn who_shares_the_traffic() {
    let part = |text: &str| {
        let text = WHOLE.replace("[nics]", &format!("shards = 2\nshard = '{text}'\n[nics]"));
        let settings = parse(&text, Format::Toml, Purpose::Run).unwrap();
        assert_eq!(settings.shards, 2);
        let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
        assert_eq!(again.document, settings.document);
        (settings.of_boxes.index, settings.of_boxes.of)
    };
    assert_eq!(["1/2", "2/2", "0/2", "1/1", " 3 / 5 "].map(part), [(1, 2), (0, 2), (0, 2), (0, 1), (3, 5)]);
    for wrong in ["3/2", "1", "1/0", "-1/2", "1/65", "a/b", ""] {
        check_line("[nics]", &format!("shard = '{wrong}'\n[nics]"), &[&format!("shard: `{wrong}` is no part")]);
    }
    check_line("[nics]", "shards = 0\n[nics]", &["shards: 0 is outside 1 to 32"]);
    check_line("[nics]", "shards = 33\n[nics]", &["shards: 33 is outside"]);
    check_line("[nics]", "shards = 'all'\n[nics]", &["shards: `all` is no number"]);
    check_line("[nics]", "shards = '33'\n[nics]", &["shards: 33 is outside"]);
    // As the page's field gives it.
    check_line("[nics]", "shards = '4'\n[nics]", &[]);
    check_line("[nics]", "shards = 'auto'\n[nics]", &[]);
    check_line("[nics]", "shards = 1.5\n[nics]", &["shards: "]);
}

#[test]
fn nothing_at_all() {
    let missing = ["schema_version", "nics.mirror", "nics.target", "addressing.pool", "service"];
    let missing = missing.map(|field| format!("{field}: is missing"));
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    check("", &missing);
    check("schema_version = 1", &missing[1..]);
}

#[test]
fn syntax() {
    check("schema_version = 1\nx = [", &["not TOML at line 2: "]);
    let faults = parse("[]", Format::Json, Purpose::Run).unwrap_err();
    assert!(faults.0[0].message.starts_with("the document is no object"));
    let faults = parse("{", Format::Json, Purpose::Run).unwrap_err();
    assert!(faults.0[0].message.starts_with("not JSON: "));
}

#[test]
fn keys_and_types_are_told_all_at_once() {
    check(
        "schema_version = '1'\nmirror = 1\nnics = { mirror = 'm' }\naddressing = { pool = [1], pol = 2 }\n\
         [[service]]\nname = 1\norigins = ['x']\n[[service]]\ncopies = -1\nsample_percent = nan\nport = 80\n\
         origins = ['*:80']\ntargets = ['10.0.0.1:80']",
        &[
            "schema_version: invalid type: string \"1\", expected u32",
            "nics.mirror: invalid type: string \"m\", expected a sequence",
            "addressing.pool[0]: 1 is not text",
            "addressing.pol: is not a key",
            "service[0].name: invalid type: integer `1`, expected a string",
            "service[1].sample_percent: invalid type: null, expected f64",
            "service[1].copies: invalid value: integer `-1`, expected u32",
            "service[1].port: is not a key",
            "mirror: is not a key",
            "nics.target: is missing",
            "service[0].origins[0]: `x` is no address and port",
            "service[0].targets: is missing",
        ],
    );
    check_line("schema_version = 1", "schema_version = 2", &["schema_version: is 2, but this program reads version 1"]);
}

#[test]
fn nics() {
    check_line(
        "[\"mirror0\"]",
        "['a', 'a', 'target0', '', '0123456789abcdef']",
        &[
            "nics.target: target0 is also a mirror NIC; the box never sends on a mirror NIC",
            "nics.mirror[1]: a is named twice",
            "nics.mirror[3]: `` is no name",
            "nics.mirror[4]: `0123456789abcdef` is no name",
        ],
    );
    let twice = &["nics.mirror[2]: 52:54:00:12:34:AB is named twice", "nics.target: 01:00.0 is named twice"];
    let mirror = "mirror = ['0000:01:00.0', '52:54:00:12:34:ab', '52:54:00:12:34:AB']";
    check(&WHOLE.replace("mirror = [\"mirror0\"]", mirror).replace("\"target0\"", "'01:00.0'"), twice);
    check_line("\"target0\"", "'52:54:00:12:34'", &["nics.target: `52:54:00:12:34` is no name"]);
    check_line("[addressing]", "target_vlan = 100\n[addressing]", &[]);
    check_line("[addressing]", "target_vlan = 4095\n[addressing]", &["nics.target_vlan: 4095 is outside 1 to 4094"]);
    check_line("[addressing]", "buffer_mib = 0\n[addressing]", &["nics.buffer_mib: 0 is outside"]);
}

#[test]
fn pools() {
    let pool = "\"10.100.20.100-10.100.20.200/24\"";
    let field = "addressing.pool[0]: ";
    for (text, message) in [
        ("10.100.20.9", "`10.100.20.9` has no prefix length"),
        ("10.100.20.1-x/24", "`x` is no IP address"),
        ("10.100.20.1-fd00::1/24", "10.100.20.1 and fd00::1 are of different families"),
        ("10.100.20.1-10.100.20.9/33", "/33 is no prefix length"),
        ("10.100.20.1-10.100.20.9/0", "/0 is no prefix length"),
        ("10.100.20.9-10.100.20.1/24", "the first address 10.100.20.9 lies above the last"),
        ("10.100.20.9-10.100.21.1/24", "10.100.20.9 and 10.100.21.1 are not in one /24"),
        ("10.100.20.0-10.100.20.9/24", "10.100.20.0 is the address of the subnet itself"),
        ("10.100.20.100-10.100.20.255/24", "10.100.20.255 is the subnet's broadcast address"),
        ("fd00::-fd00::9/64", "fd00:: is the address of the subnet itself"),
        ("224.0.0.1-224.0.0.9/24", "224.0.0.1-224.0.0.9 has addresses that no host can have"),
    ] {
        check_line(pool, &format!("'{text}'"), &[&format!("{field}{message}")]);
    }
    check_line(
        pool,
        "'10.100.20.40-10.100.20.50/24', '10.100.20.50/24'",
        &["addressing.pool[1]: `10.100.20.50/24` overlaps"],
    );
    check_line(pool, "'10.100.20.40/24'", &[]);
    check_line(pool, "'10.100.20.30-10.100.20.40/24'", &["service[0].targets[0]: 10.100.20.31:11511 lies in the pool"]);
    check_line(
        pool,
        "'10.100.20.40/24', '10.100.10.1-10.100.10.9/24'",
        &[
            "service[0].origins[0]: 10.100.10.1:11311 lies in the pool",
            "service[0].origins[1]: 10.100.10.2:11311 lies in the pool",
        ],
    );
}

#[test]
fn modes_and_gateways() {
    let mode = "mode = \"pool\"";
    check_line(mode, "mode = 'x'", &["addressing.mode: `x` is no way"]);
    check_line(mode, "mode = '''x\ny'''", &["addressing.mode: `x\\ny` is no way"]);
    check_line(mode, "gateway = '10.100.20.1'", &[]);
    check_line(mode, "gateway = 'x'", &["addressing.gateway: `x` is no IP address"]);
    check_line(mode, "gateway = '10.100.20.100'", &["addressing.gateway: 10.100.20.100 lies in the pool"]);
    check_line(mode, "gateway = '10.100.21.1'", &["addressing.gateway: 10.100.21.1 is in no subnet of pool or link"]);
    check_line(mode, "link = ['10.100.21.0/24']\ngateway = '10.100.21.1'", &[]);
    check_line(mode, "gateway = 'fe80::1'", &[]);
    check_line(mode, "emulate_gateway = ['10.100.20.1']", &["addressing.emulate_gateway: has no use with mode `pool`"]);
}

#[test]
fn the_address_of_the_page() {
    let line = "[addressing]";
    let section = |text: &str| format!("[management]\n{text}\n[addressing]");
    let fixed = "mode = 'static'\naddress = '192.0.2.10/24'";
    for good in ["", "nic = 'third0'", "nic = 'target0'", "mode = 'dhcp'", fixed] {
        check_line(line, &section(good), &[]);
    }
    check_line(line, &section(&format!("{fixed}\ngateway = '192.0.2.1'")), &[]);
    check_line(line, &section("nic = 'mirror0'"), &["management.nic: mirror0 is a mirror NIC"]);
    check_line(line, &section("nic = '1:2'"), &["management.nic: `1:2` is no name"]);
    check_line(line, &section("mode = 'pppoe'"), &["management.mode: `pppoe` is no way to an address"]);
    check_line(line, &section("mode = 'static'"), &["management.address: is missing"]);
    let useless = ["management.address: has no use with mode `dhcp`", "management.gateway: has no use"];
    check_line(line, &section("address = '192.0.2.10/24'\ngateway = '192.0.2.1'"), &useless);
    for wrong in ["192.0.2.10", "192.0.2.0/24", "192.0.2.255/24", "192.0.2.1/31", "2001:db8::1/64", "127.0.0.1/8"] {
        let text = section(&format!("mode = 'static'\naddress = '{wrong}'"));
        check_line(line, &text, &[&format!("management.address: `{wrong}` is no address")]);
    }
    for (wrong, why) in [
        ("x", "is no IPv4"),
        ("192.0.2.10", "is the box's own"),
        ("192.0.3.1", "is no host"),
        ("192.0.2.255", "is no host"),
    ] {
        let text = section(&format!("{fixed}\ngateway = '{wrong}'"));
        check_line(line, &text, &[&format!("management.gateway: `{wrong}` {why}")]);
    }
    for (taken, why) in [("10.100.20.150", "lies in the pool"), ("10.100.20.31", "is also a target")] {
        let text = section(&format!("mode = 'static'\naddress = '{taken}/24'"));
        check_line(line, &text, &[&format!("management.address: {taken} {why}")]);
    }
}

#[test]
fn preserved_addresses() {
    let pool = "mode = \"pool\"\npool = [\"10.100.20.100-10.100.20.200/24\"]";
    let preserve = |rest: &str| format!("mode = 'preserve'\n{rest}");
    check_line(pool, &preserve("link = ['10.100.20.0/24']"), &[]);
    check_line(
        pool,
        &preserve("link = ['10.100.20.0/24', 'fd00::/64']\nemulate_gateway = ['10.100.20.1', 'fe80::1']"),
        &[],
    );
    check_line(pool, &preserve(""), &["addressing.link: is missing, though `preserve` needs it"]);
    check_line(
        pool,
        &preserve("link = ['10.100.20.0', 'x/24', '10.100.20.0/33']"),
        &[
            "addressing.link[0]: `10.100.20.0` has no prefix length",
            "addressing.link[1]: `x` is no IP address",
            "addressing.link[2]: /33 is no prefix length",
        ],
    );
    check_line(
        pool,
        &preserve("link = ['10.100.21.0/24']"),
        &["service[0].targets[0]: 10.100.20.31:11511 is in no subnet of pool or link and there is no gateway"],
    );
    let gateways = |list: &str| {
        let rest = "link = ['10.100.20.0/24']\npool = ['10.100.20.9/24']\ngateway = '10.100.20.1'\n";
        preserve(&format!("{rest}emulate_gateway = [{list}]"))
    };
    check_line(
        pool,
        &gateways("'x', '0.0.0.0', '10.100.20.1', '10.100.20.9', '10.100.21.1', '10.100.20.2', '10.100.20.2'"),
        &[
            "addressing.emulate_gateway[0]: `x` is no IP address",
            "addressing.emulate_gateway[1]: 0.0.0.0 is an address that no router can have",
            "addressing.emulate_gateway[2]: 10.100.20.1 is the real gateway too",
            "addressing.emulate_gateway[3]: 10.100.20.9 lies in the pool",
            "addressing.emulate_gateway[4]: 10.100.21.1 is in no subnet of addressing.link",
            "addressing.emulate_gateway[6]: 10.100.20.2 is named twice",
        ],
    );
    check_line(
        pool,
        &gateways("'10.100.20.31'"),
        &["service[0].targets[0]: 10.100.20.31:11511 is also in addressing.emulate_gateway"],
    );
}

#[test]
fn targets() {
    let target = "\"10.100.20.31:11511\"";
    let field = "service[0].targets[0]: ";
    for (text, message) in [
        ("10.100.30.31:80", "10.100.30.31:80 is in no subnet of pool or link and there is no gateway"),
        ("[fd00::1]:80", "[fd00::1]:80 has no pool of its family"),
        ("10.100.20.31", "`10.100.20.31` is no address and port"),
        ("*:80", "`*:80` is no address and port"),
        ("test:80", "`test:80` is no address and port"),
        ("10.100.20.31:0", "10.100.20.31:0 has port 0"),
        ("0.0.0.0:80", "0.0.0.0:80 is an address that no server can have"),
    ] {
        check_line(target, &format!("'{text}'"), &[&format!("{field}{message}")]);
    }
    check_line(target, "", &["service[0].targets: is missing"]);
    check_line(target, "'10.100.20.31:1', '10.100.20.31:1'", &["service[0].targets[1]: 10.100.20.31:1 is named twice"]);
    let routed = WHOLE.replace("mode = \"pool\"", "gateway = '10.100.20.1'");
    check(&routed.replace("10.100.20.31:11511", "192.0.2.1:80"), &[]);
}

#[test]
fn origins() {
    let origins = "\"10.100.10.1:11311\", \"10.100.10.2:11311\"";
    check_line(origins, "", &["service[0].origins: is missing"]);
    check_line(
        origins,
        "'*:80', '*:0', '*:x', 'x:80', '10.0.0.1:80', '10.0.0.1:80'",
        &[
            "service[0].origins[1]: *:0 has port 0",
            "service[0].origins[2]: `*:x` has no port",
            "service[0].origins[3]: `x:80` is no address and port",
            "service[0].origins[5]: 10.0.0.1:80 is named twice",
        ],
    );
    check_line(origins, "'10.100.20.31:11511'", &["service[0].targets[0]: 10.100.20.31:11511 is also an origin"]);
    check_line(origins, "'*:11511'", &[]);
}

#[test]
fn services_do_not_share() {
    let second = |origins: &str| {
        format!("{WHOLE}\n[[service]]\nname = 'b'\norigins = [{origins}]\ntargets = ['10.100.20.32:80']\n")
    };
    check(
        &second("'10.9.9.9:1', '10.100.10.2:11311'"),
        &["service[1].origins[1]: 10.100.10.2:11311 is already claimed by service[0]"],
    );
    check(&second("'*:11311'"), &[]);
    check(
        &second("'10.9.9.9:11311'").replace("10.100.10.1:11311", "*:11311"),
        &["service[1].origins[0]: 10.9.9.9:11311 is already claimed by service[0]"],
    );
    check(&second("'10.9.9.9:1'").replace("'b'", "'adserver'"), &["service[1].name: `adserver` is taken"]);
}

#[test]
fn choices() {
    check_line("copies = 1", "copies = 1000", &[]);
    check_line("copies = 1", "copies = 0", &["service[0].copies: 0 is outside 1 to 1000"]);
    check_line("copies = 1", "copies = 1001", &["service[0].copies: 1001 is outside 1 to 1000"]);
    check_line("copies = 1", "mirror_to = 'all'", &[]);
    check_line(
        "copies = 1",
        "mirror_to = 'x'",
        &["service[0].mirror_to: `x` is not known in this version; use one of one, all"],
    );
    let two = WHOLE.replace("targets = [", "targets = ['10.100.20.32:80', ");
    check(
        &two.replace("copies = 1", "mirror_to = 'all'\ncopies = 501"),
        &["service[0].copies: 501 is outside 1 to 500, since a session is replayed 1000 times at most"],
    );
    check_line(
        "\"auto\"",
        "'gopher'",
        &[
            "service[0].protocol: `gopher` is not known in this version; use one of auto, http, memcached, redis, postgresql, mysql, http2, tls, raw",
        ],
    );
    check_line("\"turns\"", "'fast'", &["service[0].pacing: `fast` is not known"]);
    for percent in ["-0.1", "100.1", "inf"] {
        let expected = if percent == "inf" { "invalid type: null" } else { percent };
        check_line("= 100.0", &format!("= {percent}"), &[&format!("service[0].sample_percent: {expected}")]);
    }
    check_line("= 100.0", "= 0.001", &["service[0].sample_percent: 0.001 is finer"]);
    check_line("= 100.0", "= 50", &[]);
    check_line("= 100.0", "= 0", &[]);
}

#[test]
fn rules_of_the_comparison() {
    let with = |section: &str| format!("{WHOLE}[[service.rule]]\n{section}");
    let good =
        with("path = '/api/*'\nignore = ['header:x-trace', '$.a[*].id']\ntolerance = 0.01\nunordered = ['$.a']\n");
    let good = format!("{good}ignore_pattern = '[0-9]+'\n[comparison]\nvolatile_headers = ['date']\n");
    let settings = parse(&good, Format::Toml, Purpose::Run).unwrap();
    assert!(!settings.services[0].rules.is_empty());
    let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
    assert_eq!(again.document, settings.document);
    check(&with(""), &["service[0].rule[0]: says nothing"]);
    check(
        &with("path = ''\nignore = ['x', 'header:a b']\ntolerance = 2\nunordered = ['status']\nignore_pattern = '('"),
        &[
            "service[0].rule[0].tolerance: 2 is outside 0 to 1",
            "service[0].rule[0].path: is empty",
            "service[0].rule[0].ignore[0]: `x` is no field",
            "service[0].rule[0].ignore[1]: `a b` is no name",
            "service[0].rule[0].ignore_pattern: `(` is no regular expression",
            "service[0].rule[0].unordered[0]: `status` is no field",
        ],
    );
    let volatile = format!("{WHOLE}[comparison]\nvolatile_headers = ['a:']\n");
    check(&volatile, &["comparison.volatile_headers[0]: `a:` is no name"]);
}

#[test]
fn faults_of_flags_name_the_flags() {
    let document =
        Document { service: crate::map::services(&["80-10.0.0.1:80".parse().unwrap()]), ..Document::default() };
    let faults = Settings::parse(document, Purpose::Run).unwrap_err().by_flag();
    let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["--mirror-nic", "--target-nic", "--pool"]);
}

#[test]
fn recording() {
    let with = |section: &str| format!("{WHOLE}[record]\n{section}");
    let settings = parse(&with("directory = '/r'"), Format::Toml, Purpose::Run).unwrap();
    let recording = settings.record.unwrap();
    assert_eq!((recording.services, recording.file_bytes, recording.total_bytes), (None, 100 << 20, 10_240 << 20));
    let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
    assert_eq!(again.document, settings.document);
    assert_eq!(parse(WHOLE, Format::Toml, Purpose::Run).unwrap().record, None);
    check(&with(""), &["record.directory: is missing"]);
    check(
        &with("directory = '/r'\nservices = ['adserver', 'ads']\nfile_seconds = 0\ntotal_mib = 199\ncompress = true"),
        &[
            "record.compress: is not a key",
            "record.services[1]: `ads` is the name of no service; there are adserver",
            "record.file_seconds: 0 is outside",
            "record.total_mib: 199 is less than two files",
        ],
    );
}

#[test]
fn records() {
    let with = |section: &str| format!("{WHOLE}[records]\n{section}");
    let settings = parse(WHOLE, Format::Toml, Purpose::Run).unwrap();
    assert!(settings.records.enabled);
    assert_eq!((settings.records.bounds.total_bytes, settings.records.sample.per_million), (2 << 30, 1_000));
    let settings = parse(
        &with("max_age_hours = 2\nmask_fields = ['iban']\nmask_patterns = ['KD-[0-9]+']"),
        Format::Toml,
        Purpose::Run,
    )
    .unwrap();
    assert_eq!(settings.records.bounds.age.as_secs(), 7_200);
    let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
    assert_eq!((again.document, again.records), (settings.document, settings.records));
    check(
        &with(
            "max_bytes = 5\nmax_age_hours = 0\nsample_percent_bodies = 101\nmask_headers = ['a', '-']\n\
               mask_patterns = ['(a', '']\nkeep = true",
        ),
        &[
            "records.keep: is not a key",
            "records.max_bytes: 5 is outside",
            "records.max_age_hours: 0 is outside",
            "records.sample_percent_bodies: 101 is outside",
            "records.mask_headers[1]: has no letter",
            "records.mask_patterns[0]: `(a` is no regular expression",
            "records.mask_patterns[1]: is empty",
        ],
    );
}

#[test]
fn keys_that_no_line_can_hold_are_told_in_quotes() {
    check(&format!("'' = 1\n\"a\\nb\" = 2\n{WHOLE}"), &["\"\": is not a key", "\"a\\nb\": is not a key"]);
}

#[test]
fn filters() {
    let filter = |text: &str| format!("{WHOLE}[[service.filter]]\n{text}\n");
    let place = "service[0].filter[0]";
    check(&filter("action = 'deny'"), &[]);
    check(&filter("action = 'allow'\nmethod = ['GET']\npath = '/a/*'\nheader = 'X-No-Mirror: *'"), &[]);
    check(
        &filter("method = ['GE T']\npath = 'a'\nheader = 'X'\nport = 1"),
        &[
            &format!("{place}.port: is not a key"),
            &format!("{place}.action: `` is no action"),
            &format!("{place}.method[0]: `GE T` is no method"),
            &format!("{place}.path: `a` is like no path"),
            &format!("{place}.header: `X` is no header"),
        ],
    );
    check(&filter("action = 'deny'").replace("\"auto\"", "\"redis\""), &["service[0].protocol: is `redis`; filters"]);
}

#[test]
fn rewriting() {
    let rewrite = |text: &str| format!("{WHOLE}[service.rewrite]\n{text}\n");
    let whole = "host = 'test:81'\npath_prefix = { from = '/api', to = '/' }\nset_headers = { X-Mirrored = '1' }\n\
                 remove_headers = ['Authorization']";
    check(&rewrite(whole), &[]);
    let settings = parse(&rewrite(whole), Format::Toml, Purpose::Run).unwrap();
    let again = parse(&settings.document.to_json(), Format::Json, Purpose::Run).unwrap();
    assert_eq!(again.document, settings.document);
    let place = "service[0].rewrite";
    check(
        &rewrite(
            "host = 'a b'\npath_prefix = { from = 'api', to = '/a b' }\nset_headers = { 'X Y' = '1', A = \"1\\r\\nB: 2\", \
             Transfer-Encoding = 'x' }\nremove_headers = ['content-length', 'Host', 'a']",
        ),
        &[
            &format!("{place}.host: `a b` is no host"),
            &format!("{place}.set_headers.A: `1\\r\\nB: 2` is no value"),
            &format!("{place}.set_headers.Transfer-Encoding: Transfer-Encoding says how long"),
            &format!("{place}.set_headers.X Y: `X Y` is no name"),
            &format!("{place}.remove_headers[0]: content-length says how long"),
            &format!("{place}.remove_headers[1]: every request has one host"),
            &format!("{place}.remove_headers[2]: a is also set"),
            &format!("{place}.path_prefix.from: `api` is no path"),
            &format!("{place}.path_prefix.to: `/a b` is no path"),
        ],
    );
}

#[test]
fn caps() {
    check_line("copies = 1", "max_sessions_per_second = 1", &[]);
    check_line("copies = 1", "max_sessions_per_second = 0", &["service[0].max_sessions_per_second: is 0"]);
}
