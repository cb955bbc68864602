//! Links of a proxied answer, so that they lead to the proxy again: redirections, and attributes of HTML.

/// Attributes that hold a link.
const ATTRIBUTES: [&str; 13] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "longdesc",
    "poster",
    "src",
    "usemap",
];

/// What links are made of here.
pub(super) struct Links<'a> {
    /// The path up to and with `proxy`.
    pub prefix: &'a str,
    /// `host:port` of the backend.
    pub backend: &'a str,
}

impl Links<'_> {
    /// The link as the client can follow it. Relative ones, and those to other hosts, stay.
    pub(super) fn rewrite(&self, link: &str) -> String {
        let after_scheme = link.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
        let path = match after_scheme.map(|(_, rest)| rest).or_else(|| link.strip_prefix("//")) {
            None => link,
            Some(rest) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                if &rest[..end] != self.backend || !rest[end..].starts_with('/') {
                    return link.to_owned();
                }
                &rest[end..]
            }
        };
        if !path.starts_with('/') || path.starts_with(self.prefix) {
            return path.to_owned();
        }
        format!("{}{path}", self.prefix)
    }
}

/// A page with the links in its attributes rewritten; all else stays as it is.
pub(super) fn html(page: &[u8], links: &Links<'_>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(page) else { return page.to_vec() };
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let tag = match rest {
            comment if comment.starts_with("<!--") => comment.find("-->").map_or(comment.len(), |end| end + 3),
            tag if tag[1..].starts_with(|c: char| c.is_ascii_alphabetic()) => end_of_tag(tag),
            _ => 1,
        };
        let (tag, after) = rest.split_at(tag);
        if tag.len() > 1 && !tag.starts_with("<!--") {
            rewrite_tag(tag, links, &mut out)
        } else {
            out.push_str(tag)
        }
        rest = after;
        // What is between these is no HTML.
        for raw in ["script", "style"] {
            let opens = tag.get(1..=raw.len()).is_some_and(|name| name.eq_ignore_ascii_case(raw));
            if opens {
                let end = rest.to_ascii_lowercase().find(&format!("</{raw}")).unwrap_or(rest.len());
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    out.push_str(rest);
    out.into_bytes()
}

/// Where a tag ends, quotes considered.
fn end_of_tag(tag: &str) -> usize {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    tag.len()
}

fn rewrite_tag(tag: &str, links: &Links<'_>, out: &mut String) {
    let mut rest = tag;
    while let Some(equals) = rest.find('=') {
        let (before, after) = rest.split_at(equals + 1);
        out.push_str(before);
        let name = before[..equals].trim_end();
        let name = name.rsplit(|c: char| c.is_whitespace() || c == '"' || c == '\'').next().unwrap_or_default();
        let spaces = after.len() - after.trim_start().len();
        out.push_str(&after[..spaces]);
        let value = &after[spaces..];
        let (quote, inner) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => (Some(quote), &value[1..]),
            _ => (None, value),
        };
        let end = match quote {
            Some(quote) => inner.find(quote).unwrap_or(inner.len()),
            None => inner.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(inner.len()),
        };
        let link = &inner[..end];
        let is_link = ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(name));
        out.extend(quote);
        if is_link {
            out.push_str(&links.rewrite(link))
        } else {
            out.push_str(link)
        }
        rest = &inner[end..];
        if let Some(quote) = quote
            && rest.starts_with(quote)
        {
            out.push(quote);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: Links<'_> = Links { prefix: "/p/proxy", backend: "10.1.0.7:80" };

    #[test]
    fn links_to_the_backend_lead_here() {
        let check = |link: &str, expected: &str| assert_eq!(LINKS.rewrite(link), expected);
        check("/there?x=1", "/p/proxy/there?x=1");
        check("http://10.1.0.7:80/zz", "/p/proxy/zz");
        check("http://elsewhere/zz", "http://elsewhere/zz");
        check("rel/zz", "rel/zz");
        check("/p/proxy/zz", "/p/proxy/zz");
        check("#x", "#x");
    }

    #[test]
    fn pages_keep_everything_but_their_links() {
        let page = "<html><a href=\"/abs\">x</a><A HREF=/b>y</A><img src='/i.png?a=1&amp;b=2' alt=\"/no\"><a href=\"rel\">\
            <form action=\"/f/\" x></form><script>var a=\"/s\"</script><!-- <a href=\"/c\"> --> 1 < 2";
        let expected = "<html><a href=\"/p/proxy/abs\">x</a><A HREF=/p/proxy/b>y</A><img src='/p/proxy/i.png?a=1&amp;b=2' \
            alt=\"/no\"><a href=\"rel\"><form action=\"/p/proxy/f/\" x></form><script>var a=\"/s\"</script>\
            <!-- <a href=\"/c\"> --> 1 < 2";
        assert_eq!(String::from_utf8(html(page.as_bytes(), &LINKS)).unwrap(), expected);
        for broken in ["<", "<a href=", "<a href=\"", "<!--", "<script>", "<a =", "a<b href='/x"] {
            html(broken.as_bytes(), &LINKS);
        }
    }
}
