//! curl commands, one after the other. The shell's quoting is read by `shell-words`, curl's options
//! by clap: an option that is not known is an error with its name, not a silent loss.
//! <https://curl.se/docs/manpage.html>

use clap::Parser;

use super::recording::{
    Body, Item, Part, Recording, Request, is_own_business, literal, name_of, split_origin,
};

/// What of curl's options matters to a request; the rest is taken and has no effect.
#[derive(Debug, Parser)]
#[command(name = "curl", disable_help_flag = true, disable_version_flag = true)]
struct Curl {
    urls: Vec<String>,
    #[arg(long = "url")]
    more_urls: Vec<String>,
    #[arg(short = 'X', long)]
    request: Option<String>,
    #[arg(short = 'H', long)]
    header: Vec<String>,
    #[arg(short = 'd', long, visible_aliases = ["data-ascii", "data-raw", "data-binary"])]
    data: Vec<String>,
    #[arg(long)]
    data_urlencode: Vec<String>,
    #[arg(long)]
    json: Vec<String>,
    #[arg(short = 'F', long, visible_alias = "form-string")]
    form: Vec<String>,
    #[arg(short = 'T', long)]
    upload_file: Option<String>,
    #[arg(short = 'u', long)]
    user: Option<String>,
    #[arg(short = 'A', long)]
    user_agent: Option<String>,
    #[arg(short = 'e', long)]
    referer: Option<String>,
    #[arg(short = 'b', long)]
    cookie: Option<String>,
    #[arg(short = 'G', long)]
    get: bool,
    #[arg(short = 'I', long)]
    head: bool,
    #[arg(short = 'L', long, visible_alias = "location-trusted")]
    location: bool,
    #[arg(long)]
    compressed: bool,
    #[arg(long)]
    oauth2_bearer: Option<String>,
    // Of no meaning to a simulation.
    #[arg(short = 's', long, visible_aliases = ["no-progress-meter", "progress-bar"])]
    silent: bool,
    #[arg(short = 'S', long)]
    show_error: bool,
    #[arg(short = 'v', long)]
    verbose: bool,
    #[arg(short = 'i', long, visible_alias = "show-headers")]
    include: bool,
    #[arg(short = 'k', long)]
    insecure: bool,
    #[arg(short = 'f', long, visible_alias = "fail-with-body")]
    fail: bool,
    #[arg(short = 'N', long)]
    no_buffer: bool,
    #[arg(long, visible_alias = "http2")]
    http1_1: bool,
    #[arg(short = 'o', long)]
    output: Option<String>,
    #[arg(short = 'w', long)]
    write_out: Option<String>,
    #[arg(short = 'm', long, visible_alias = "connect-timeout")]
    max_time: Option<String>,
    #[arg(short = 'c', long)]
    cookie_jar: Option<String>,
    #[arg(long)]
    retry: Option<String>,
}

/// # Errors
/// What cannot be read, and in which line.
pub(super) fn read(bytes: &[u8]) -> Result<Recording, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    let mut recording =
        Recording { name: "Converted from curl".to_owned(), ..Recording::default() };
    for (line, command) in commands(text)? {
        let here = |message: String| format!("line {line}: {message}");
        let plain = plain_quotes(&command);
        let words = shell_words::split(&plain).map_err(|error| here(error.to_string()))?;
        let curl = Curl::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            here(first.trim_start_matches("error: ").to_owned())
        })?;
        convert(curl, &mut recording).map_err(here)?;
    }
    if recording.items.is_empty() {
        return Err("no curl command in it; each begins with the word curl".to_owned());
    }
    Ok(recording)
}

/// The commands with the number of their first line; they may go over several.
fn commands(text: &str) -> Result<Vec<(usize, String)>, String> {
    let mut all = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (start, mut command) = match open.take() {
            Some((start, before)) => (start, before + "\n" + line),
            None => {
                let line = line.trim_start().trim_start_matches("$ ");
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                if !line.starts_with("curl ") {
                    let number = index + 1;
                    return Err(format!("line {number}: not a curl command: {line}"));
                }
                (index + 1, line.to_owned())
            }
        };
        if command.ends_with('\\') {
            command.pop();
            open = Some((start, command));
        } else if shell_words::split(&plain_quotes(&command)).is_err() {
            open = Some((start, command));
        } else {
            all.push((start, command.trim_end_matches([';', ' ']).to_owned()));
        }
    }
    match open {
        Some((line, _)) => Err(format!("line {line}: the command has no end: a quote is open")),
        None => Ok(all),
    }
}

/// `$'a\n'`, as browsers write it, with plain quotes.
fn plain_quotes(command: &str) -> String {
    let mut out = String::with_capacity(command.len());
    let mut rest = command;
    while let Some(at) = rest.find("$'") {
        out.push_str(&rest[..at]);
        let mut content = String::new();
        let mut letters = rest[at + 2..].char_indices();
        let mut end = None;
        while let Some((index, letter)) = letters.next() {
            match letter {
                '\'' => {
                    end = Some(at + 2 + index + 1);
                    break;
                }
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some('n') => content.push('\n'),
                    Some('r') => content.push('\r'),
                    Some('t') => content.push('\t'),
                    Some('u') => {
                        let digits: String = letters.by_ref().take(4).map(|(_, it)| it).collect();
                        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        content.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some(other) => content.push(other),
                    None => {}
                },
                other => content.push(other),
            }
        }
        let Some(end) = end else {
            // Still open: the caller reads on.
            out.push('\'');
            return out;
        };
        out.push_str(&shell_words::quote(&content));
        rest = &rest[end..];
    }
    out + rest
}

fn convert(curl: Curl, recording: &mut Recording) -> Result<(), String> {
    let urls: Vec<String> = curl.urls.iter().chain(&curl.more_urls).cloned().collect();
    if urls.is_empty() {
        return Err("the command has no URL".to_owned());
    }
    let mut template = Request { no_redirect: !curl.location, ..Request::default() };
    headers(&curl, &mut template.headers, recording)?;
    let (body, query) = body(&curl, &mut template.headers, recording)?;
    let method = match &curl.request {
        Some(method) => method.to_uppercase(),
        None if curl.head => "HEAD".to_owned(),
        None if curl.upload_file.is_some() => "PUT".to_owned(),
        None if body.is_some() => "POST".to_owned(),
        None => "GET".to_owned(),
    };
    // A client that stays on its answer does not differ where there is nothing to follow.
    template.no_redirect &= matches!(method.as_str(), "GET" | "HEAD");
    if let Some(user) = &curl.user {
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        template.basic = Some((literal(user), literal(password)));
    }
    for url in urls {
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        if split_origin(&url).is_none() {
            return Err(format!("{url} is not an http URL"));
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        let mut full = url.clone();
        if let Some(query) = &query {
            full.push(separator);
            full.push_str(query);
        }
        recording.items.push(Item::Request(Box::new(Request {
            name: name_of(&method, &url),
            method: method.clone(),
            url: literal(&full),
            body: body.clone(),
            ..template.clone()
        })));
    }
    Ok(())
}

fn headers(
    curl: &Curl,
    headers: &mut Vec<(String, String)>,
    recording: &mut Recording,
) -> Result<(), String> {
    let mut cookies = curl.cookie.is_some();
    for header in &curl.header {
        let Some((name, value)) = header.split_once(':') else {
            return Err(format!("{header:?} is not a header: name: value"));
        };
        cookies |= name.eq_ignore_ascii_case("cookie");
        if !is_own_business(name) && !value.trim().is_empty() {
            headers.push((name.trim().to_owned(), literal(value.trim())));
        }
    }
    if cookies {
        let note = "cookies of the commands are left out: a virtual user keeps its own; log in";
        if !recording.notes.iter().any(|known| known == note) {
            recording.notes.push(note.to_owned());
        }
    }
    for (name, value) in [("User-Agent", &curl.user_agent), ("Referer", &curl.referer)] {
        if let Some(value) = value {
            headers.push((name.to_owned(), literal(value)));
        }
    }
    if let Some(token) = &curl.oauth2_bearer {
        headers.push(("Authorization".to_owned(), format!("Bearer {}", literal(token))));
    }
    if curl.compressed && !headers.iter().any(|(it, _)| it.eq_ignore_ascii_case("accept-encoding"))
    {
        headers.push(("Accept-Encoding".to_owned(), "gzip, deflate, br".to_owned()));
    }
    Ok(())
}

/// The body, or with `--get` the query.
fn body(
    curl: &Curl,
    headers: &mut Vec<(String, String)>,
    recording: &mut Recording,
) -> Result<(Option<Body>, Option<String>), String> {
    let mut default = |name: &str, value: &str| {
        if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    if !curl.form.is_empty() {
        let parts = curl.form.iter().map(|text| part(text, recording)).collect::<Result<_, _>>()?;
        return Ok((Some(Body::Parts(parts)), None));
    }
    if let Some(path) = &curl.upload_file {
        recording.notes.push(format!("put {path} into resources/"));
        return Ok((Some(Body::File(path.clone())), None));
    }
    if !curl.json.is_empty() {
        default("Content-Type", "application/json");
        default("Accept", "application/json");
        return Ok((Some(Body::Text(literal(&curl.json.concat()))), None));
    }
    let mut data: Vec<String> = curl.data.clone();
    if let [one] = &*data
        && let Some(path) = one.strip_prefix('@')
    {
        recording.notes.push(format!("put {path} into resources/"));
        default("Content-Type", "application/x-www-form-urlencoded");
        return Ok((Some(Body::File(path.to_owned())), None));
    }
    data.extend(curl.data_urlencode.iter().map(|text| encoded(text)));
    if data.is_empty() {
        return Ok((None, None));
    }
    let joined = data.join("&");
    if curl.get {
        return Ok((None, Some(joined)));
    }
    default("Content-Type", "application/x-www-form-urlencoded");
    Ok((Some(Body::Text(literal(&joined))), None))
}

/// `name=content`, `=content` or `content`.
fn encoded(text: &str) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    match text.split_once('=') {
        Some(("", content)) => encode(content),
        Some((name, content)) => format!("{name}={}", encode(content)),
        None => encode(text),
    }
}

fn part(text: &str, recording: &mut Recording) -> Result<Part, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("{text:?} is not a part of a form: name=value"));
    };
    match value.strip_prefix('@') {
        Some(path) => {
            let path = path.split(';').next().unwrap_or_default();
            recording.notes.push(format!("put {path} into resources/"));
            Ok(Part::Upload(name.to_owned(), path.to_owned()))
        }
        None => Ok(Part::Field(name.to_owned(), literal(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(command: &str) -> Request {
        let recording = read(command.as_bytes()).unwrap();
        recording.each()[0].clone()
    }

    #[test]
    fn options_become_a_request() {
        let request = one("curl -sL -XPUT 'http://a/b?c=1' -H 'X-A: 1' -d a=1 --data-raw b=2");
        assert_eq!((&*request.method, &*request.url), ("PUT", "http://a/b?c=1"));
        assert_eq!(request.body, Some(Body::Text("a=1&b=2".to_owned())));
        let kind = "application/x-www-form-urlencoded";
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(request.headers, [pair("X-A", "1"), pair("Content-Type", kind)]);
        assert!(!request.no_redirect);
        let request = one("curl -G a/b --data-urlencode 'q=x y' -u ada:pw");
        assert_eq!((&*request.method, &*request.url), ("GET", "http://a/b?q=x%20y"));
        assert_eq!(request.basic, Some(("ada".to_owned(), "pw".to_owned())));
        assert!(request.no_redirect);
        let request = one("curl http://a --json '{\"a\": \"#{b}\"}'");
        assert_eq!(request.body, Some(Body::Text("{\"a\": \"\\#{b}\"}".to_owned())));
        let request = one("curl http://a -F f=@x.png -F n=1");
        let parts =
            vec![Part::Upload("f".into(), "x.png".into()), Part::Field("n".into(), "1".into())];
        assert_eq!(request.body, Some(Body::Parts(parts)));
    }

    #[test]
    fn commands_go_over_lines_and_quotes() {
        let text =
            "# log in\ncurl http://a \\\n  -d 'x\ny'\n\n$ curl http://b -d $'it\\'s\\n\\u00e9'\n";
        let recording = read(text.as_bytes()).unwrap();
        let bodies: Vec<_> = recording.each().iter().map(|it| it.body.clone().unwrap()).collect();
        assert_eq!(bodies, [Body::Text("x\ny".into()), Body::Text("it's\n\u{e9}".into())]);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let problem = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(problem("\nwget x"), "line 2: not a curl command: wget x");
        assert_eq!(problem("curl"), "line 1: not a curl command: curl");
        assert_eq!(problem("curl -s "), "line 1: the command has no URL");
        assert_eq!(problem("curl 'a"), "line 1: the command has no end: a quote is open");
        let unknown = problem("curl --ftp-pasv http://a");
        assert_eq!(unknown, "line 1: unexpected argument '--ftp-pasv' found");
        assert_eq!(problem(""), "no curl command in it; each begins with the word curl");
    }
}
