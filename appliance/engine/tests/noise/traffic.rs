//! Mixed traffic of two servers that are alike: what real ones say of which no two answers have everything in common.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;

/// SplitMix64: numbers that look random, the same on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Whether something happens that does so `times` in 10,000.
    pub fn of_10_000(&mut self, times: u64) -> bool {
        self.below(10_000) < times
    }

    fn token(&mut self) -> String {
        format!("{:016x}", self.next())
    }

    fn word(&mut self) -> String {
        (0..6).map(|_| (b'a' + self.below(26) as u8) as char).collect()
    }

    fn uuid(&mut self) -> String {
        let (one, two) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            one >> 32,
            one >> 16 & 0xffff,
            one & 0xffff,
            two >> 48,
            two >> 16
        )
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: &'static str,
    pub path: String,
    pub query: String,
    pub cookie: u64,
    pub body: String,
    pub kind: usize,
    number: u64,
}

impl Request {
    /// One without anything but a path.
    pub fn get(path: String) -> Self {
        Self { verb: "GET", path, query: String::new(), cookie: 0, body: String::new(), kind: 0, number: 0 }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Changes the text of the body, below its compression.
    pub fn change(&mut self, change: impl FnOnce(String) -> String) {
        if self.head.contains("gzip") {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&self.body[..]), &mut text).unwrap();
            self.body = gzip(change(text).as_bytes());
        } else {
            self.body = change(String::from_utf8(std::mem::take(&mut self.body)).unwrap()).into_bytes();
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How often the kinds of requests come, in that order; the sum is 100.
const SHARES: [u64; 13] = [22, 10, 10, 10, 8, 8, 6, 5, 6, 3, 4, 4, 4];

/// Names of things, which stand in paths.
fn slug(number: u64) -> String {
    let words = ["red", "blue", "large", "small", "swift", "calm", "old", "new", "oak", "elm", "ash", "fir"];
    let word = |at: u64| words[(number / 12_u64.pow(at as u32) % 12) as usize];
    format!("{}-{}-{}", word(0), word(1), word(2))
}

/// Draws a request.
pub fn request(random: &mut Random) -> Request {
    let mut left = random.below(100);
    let mut kind = 0;
    while left >= SHARES[kind] {
        left -= SHARES[kind];
        kind += 1;
    }
    // Few are asked for often, and many seldom.
    let popular = |random: &mut Random, of: u64| random.below(of) * random.below(of) / of;
    let number = popular(random, 4_000);
    let (verb, path, query, body) = match kind {
        0 => ("GET", format!("/api/items/{number}"), String::new(), String::new()),
        1 => ("GET", format!("/api/users/{}/profile", Random(number).uuid()), String::new(), String::new()),
        2 => ("GET", "/api/search".to_owned(), format!("q={}&page={}", slug(number), number % 3), String::new()),
        3 => ("GET", format!("/pages/{}", slug(number % 500)), String::new(), String::new()),
        4 => ("GET", format!("/static/{:016x}.js", Random(number % 50).next()), String::new(), String::new()),
        5 => {
            let body = format!(r#"{{"item":{number},"nonce":"{}"}}"#, random.token());
            ("POST", "/api/orders".to_owned(), String::new(), body)
        }
        6 => ("GET", "/api/status".to_owned(), String::new(), String::new()),
        7 => ("GET", "/api/feed".to_owned(), format!("after={}", number % 20), String::new()),
        8 => ("GET", "/cart".to_owned(), String::new(), String::new()),
        9 => ("GET", format!("/files/{}.bin", number % 300), String::new(), String::new()),
        10 => ("GET", "/home".to_owned(), format!("_={}", random.next()), String::new()),
        11 => ("GET", "/metrics".to_owned(), String::new(), String::new()),
        _ => {
            let body = format!(r#"{{"query":"user(id:{number})","at":{}}}"#, random.next());
            ("POST", "/graphql".to_owned(), String::new(), body)
        }
    };
    let cookie = if kind == 8 { random.below(200) } else { 0 };
    Request { verb, path, query, cookie, body, kind, number }
}

/// One server.
pub struct Server {
    random: Random,
    started_millis: u64,
    served: u64,
}

impl Server {
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let started_millis = random.below(100_000);
        let served = random.below(1_000);
        Self { random, started_millis, served }
    }

    /// What it makes anew every so often, by itself.
    fn made_anew(&self, every_millis: u64, millis: u64) -> u64 {
        let phase = self.started_millis.wrapping_mul(7_919) % every_millis;
        Random(((millis + phase) / every_millis) ^ self.started_millis.rotate_left(20)).next()
    }

    /// Its answer, when it is `millis` since the traffic began. What it has in common with the other server (a database) changes,
    /// too.
    pub fn answer(&mut self, request: &Request, millis: u64) -> Answer {
        self.served += 1;
        if self.random.of_10_000(10) {
            return self.unavailable();
        }
        let (kind, body) = self.content(request, millis);
        let mut head = self.head("200 OK", kind, millis);
        match request.kind {
            4 | 9 => head += "Cache-Control: max-age=3600\r\n",
            8 => {
                let _ = write!(head, "Set-Cookie: sid={}; Path=/\r\n", self.random.token());
            }
            _ => {}
        }
        if request.kind == 0 {
            // Each server has a cache of its own, whose entries live for 3 s.
            let fresh = self.made_anew(3_000, millis + request.number * 77).is_multiple_of(4);
            head += if fresh { "X-Cache: MISS\r\n" } else { "X-Cache: HIT\r\n" };
        }
        if self.random.of_10_000(4) {
            head += "Warning: 110 - stale\r\n";
        }
        let body = match request.kind {
            1 | 7 => {
                head += "Content-Encoding: gzip\r\n";
                gzip(body.as_bytes())
            }
            9 => (0..2_000).map(|at| (request.number % 300 * 31 + at) as u8).collect(),
            _ => body.into_bytes(),
        };
        head += "\r\n";
        Answer { head, body }
    }

    fn unavailable(&mut self) -> Answer {
        let body = format!(r#"{{"error":"overloaded","request":"{}"}}"#, self.random.uuid());
        let head =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n\r\n".to_owned();
        Answer { head, body: body.into_bytes() }
    }

    fn head(&mut self, status: &str, kind: &str, millis: u64) -> String {
        let seconds = 1_700_000_000 + millis / 1_000;
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nDate: {seconds}\r\nServer: app\r\n");
        let random = &mut self.random;
        let _ = write!(head, "X-Request-Id: {}\r\nX-Trace: {}\r\n", random.uuid(), random.token());
        let _ = write!(head, "X-Served-By: web-{}\r\nETag: \"{}\"\r\n", random.below(3), random.token());
        let _ = write!(head, "X-Timestamp: {seconds}\r\nX-Response-Time: {}ms\r\n", random.below(9));
        let _ = write!(head, "X-RateLimit-Remaining: {}\r\nX-Version: 7\r\n", 1_000 - self.served % 1_000);
        head
    }

    fn content(&mut self, request: &Request, millis: u64) -> (&'static str, String) {
        const JSON: &str = "application/json";
        const HTML: &str = "text/html; charset=utf-8";
        match request.kind {
            0 => (JSON, self.item(request.number, millis)),
            1 => (JSON, self.profile(request.number, millis)),
            2 => (JSON, self.search(request.number)),
            3 => (HTML, self.page(request.number, millis)),
            4 => ("text/javascript", format!("function f(){{return {}}}\n", request.number % 50).repeat(20)),
            5 => (JSON, self.order(request.number, millis)),
            6 => (JSON, self.status(millis)),
            7 => (JSON, self.feed(request.number % 20)),
            8 => (JSON, self.cart(request.cookie)),
            9 => ("application/octet-stream", String::new()),
            10 => (HTML, self.home()),
            11 => ("text/plain", self.metrics(millis)),
            _ => (JSON, self.graph(request.number)),
        }
    }

    fn item(&mut self, number: u64, millis: u64) -> String {
        let changed = Random(number ^ ((millis / 20_000) << 32)).next();
        let mut tags = ["new", "sale", "eco", "top"];
        self.random.shuffle(&mut tags);
        let random = &mut self.random;
        let promo = if random.of_10_000(20) { format!("\"{}\"", random.word()) } else { "null".to_owned() };
        let debug = if random.of_10_000(30) { format!("\"debug\":\"{}\",", random.word()) } else { String::new() };
        format!(
            r#"{{{debug}"id":{number},"price":{}.{:02},"stock":{},"at":{}.{:03},"token":"{}","tags":{tags:?},"promo":{promo},"queue":{},"took_us":{}}}"#,
            number * 37 % 1_000,
            number % 100,
            changed % 50,
            1_700_000_000 + millis / 1_000,
            millis % 1_000,
            random.token(),
            random.below(10).saturating_sub(7),
            40 + random.below(50),
        )
    }

    fn profile(&mut self, number: u64, millis: u64) -> String {
        let random = &mut self.random;
        let variant = if random.below(2) == 0 { "A" } else { "B" };
        let seconds = millis / 1_000;
        let score = if random.of_10_000(100) { format!("\"{}\"", number % 9) } else { (number % 9).to_string() };
        let extra: String =
            (0..random.below(3)).map(|_| format!("\"{}\":{},", random.word(), random.below(9))).collect();
        format!(
            r#"{{"name":"user {number}","variant":"{variant}","score":{score},"last_seen":"2026-11-23T{:02}:{:02}:{:02}Z","session":"{}","labels":{{{extra}"n":1}},"beta":{}}}"#,
            seconds / 3_600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            random.token(),
            random.of_10_000(5),
        )
    }

    fn search(&mut self, number: u64) -> String {
        let random = &mut self.random;
        let hits: Vec<String> = (0..1 + number % 12)
            .map(|at| {
                let noise = random.below(5) as f64 * 1e-13;
                let score = 1.0 / (1.0 + (number + at) as f64) + noise;
                format!(r#"{{"id":{},"score":{score},"highlight":"{}"}}"#, number + at, slug(number + at))
            })
            .collect();
        let partial = random.of_10_000(20);
        let shards = if partial { 4 } else { 5 };
        format!(
            r#"{{"total":{},"hits":[{}],"took":{},"timed_out":{partial},"shards":{{"ok":{shards},"of":5}}}}"#,
            number % 500,
            hits.join(","),
            random.below(30)
        )
    }

    fn page(&mut self, number: u64, millis: u64) -> String {
        let mut page = format!("<html>\n<head><title>{}</title>\n", slug(number));
        for at in 0..20 {
            let _ = writeln!(page, "<script nonce=\"{}\" src=\"/static/{at}.js\"></script>", self.random.token());
        }
        let _ = writeln!(page, "</head>\n<input name=csrf value={}>", self.random.token());
        if self.random.of_10_000(1_000) {
            page += "<div class=new>\n<b>try the new page</b>\n</div>\n";
        }
        for line in 0..30 {
            let _ = writeln!(page, "<p>{} is line {line}</p>", slug(number + line));
        }
        for _ in 0..self.random.below(4) {
            let _ = writeln!(page, "<aside>{}</aside>", self.random.word());
        }
        let seconds = millis / 1_000;
        let _ = writeln!(page, "<p>price {}</p>", number % 100);
        let _ = writeln!(
            page,
            "<footer>at {:02}:{:02} by web-{}</footer>",
            seconds / 60,
            seconds % 60,
            self.random.below(3)
        );
        page + "</html>\n"
    }

    fn order(&mut self, number: u64, millis: u64) -> String {
        let status = if self.random.of_10_000(200) { "queued" } else { "done" };
        let queue = self.random.below(20).saturating_sub(16);
        format!(
            r#"{{"order":"{}","number":{},"status":"{status}","queue":{queue},"item":{number},"total":{},"created":{}}}"#,
            self.random.uuid(),
            self.served,
            number * 3 % 700,
            1_700_000_000_000 + millis
        )
    }

    fn status(&mut self, millis: u64) -> String {
        let load = self.made_anew(2_000, millis) % 400;
        format!(
            r#"{{"uptime":{},"served":{},"load":{}.{:02},"snapshot":"{:08x}","queue":{},"version":"7.1","ok":true,"workers":[{}]}}"#,
            (millis + self.started_millis) / 1_000,
            self.served,
            load / 100,
            load % 100,
            self.made_anew(8_000, millis) as u32,
            self.random.below(8).saturating_sub(4),
            ["\"idle\""; 5][..1 + self.random.below(5) as usize].join(","),
        )
    }

    fn feed(&mut self, number: u64) -> String {
        let random = &mut self.random;
        let items: Vec<String> = (0..30)
            .map(|at| {
                format!(r#"{{"id":"{}","price":{},"views":{}}}"#, random.token(), number * 30 + at, random.below(99))
            })
            .collect();
        format!(r#"{{"items":[{}],"more":true}}"#, items.join(","))
    }

    fn cart(&mut self, cookie: u64) -> String {
        let mut items: Vec<u64> = (0..cookie % 7).map(|at| cookie * 10 + at).collect();
        self.random.shuffle(&mut items);
        format!(r#"{{"owner":{cookie},"items":{items:?},"csrf":"{}"}}"#, self.random.token())
    }

    fn home(&mut self) -> String {
        let nonce = self.random.token();
        format!("<html><script nonce={nonce}></script><p>welcome</p>{}</html>", "<p>news</p>".repeat(50))
    }

    fn metrics(&mut self, millis: u64) -> String {
        let lines = (0..25).map(|at| format!("metric_{at} {}\n", self.random.below(1_000 + at)));
        let mut text: String = lines.collect();
        let _ = writeln!(text, "uptime_seconds {}", (millis + self.started_millis) / 1_000);
        text + "build 7\n"
    }

    fn graph(&mut self, number: u64) -> String {
        let random = &mut self.random;
        if random.of_10_000(50) {
            return format!(r#"{{"data":null,"errors":[{{"message":"timeout","id":"{}"}}]}}"#, random.token());
        }
        format!(r#"{{"data":{{"user":{{"id":{number},"name":"user {number}","cursor":"{}"}}}}}}"#, random.token())
    }
}
