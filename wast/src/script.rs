//! Reading a script: one directive after the other, continuing behind one that does not parse.
//!
//! The parser of the crate `wast` gives up at the first error in a file. But a suite with one
//! directive that is newer than the parser should still run. So the text is first cut at its
//! outermost parentheses, and each piece is parsed on its own.

use crate::thread::ThreadHead;
use std::ops::Range;
use wast::lexer::{Lexer, Token, TokenKind};
use wast::parser::{self, Parse, ParseBuffer, Parser};
use wast::token::Span;
use wast::{Error, QuoteWat, WastDirective, Wat};

/// The annotations whose contents are read; all others count as comments.
const ANNOTATIONS: [&str; 5] =
    ["custom", "producers", "name", "dylink.0", "metadata.code.branch_hint"];

/// The keywords that begin a field of a module.
const FIELDS: [&str; 12] = [
    "type", "rec", "import", "func", "table", "memory", "global", "export", "start", "elem",
    "data", "tag",
];

/// The outermost parenthesised pieces of `text`, as byte ranges, in order. Text outside of any
/// piece gives an error, and is skipped if possible.
pub(crate) fn split(text: &str) -> Vec<Result<Range<usize>, Error>> {
    let mut pieces = Vec::new();
    let mut depth = 0usize;
    let mut start = 0;
    for token in lexer(text).iter(0) {
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                pieces.push(Err(error));
                return pieces;
            }
        };
        match token.kind {
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment => {}
            TokenKind::LParen => {
                if depth == 0 {
                    start = token.offset;
                }
                depth += 1;
            }
            TokenKind::RParen if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    pieces.push(Ok(start..token.offset + 1));
                }
            }
            _ if depth == 0 => pieces.push(Err(error_at(token.offset, "expected `(`"))),
            _ => {}
        }
    }
    if depth > 0 {
        pieces.push(Err(error_at(start, "this `(` is never closed")));
    }
    if begins_with_field(text) { vec![Ok(0..text.len())] } else { pieces }
}

/// Splits a piece into tokens.
pub(crate) fn tokens(piece: &str) -> Result<ParseBuffer<'_>, Error> {
    ParseBuffer::new_with_lexer(lexer(piece))
}

/// Reads the one directive in `tokens`; `None` if the piece is an annotation, which is a comment.
pub(crate) fn directive<'a>(
    tokens: &'a ParseBuffer<'a>,
) -> Result<Option<WastDirective<'a>>, Error> {
    parser::parse::<Piece<'_>>(tokens).map(|piece| piece.0)
}

/// The head of a piece that is a thread. Its contents are pieces of their own, which the thread
/// itself reads.
pub(crate) fn thread_head(piece: &str) -> Option<ThreadHead<'_>> {
    let lexer = lexer(piece);
    let mut tokens = lexer.iter(0).map_while(Result::ok).filter(has_meaning).peekable();
    let mut next = |kind: TokenKind| {
        let token = tokens.next_if(|token| token.kind == kind)?;
        Some((token.src(piece), token.offset + token.src(piece).len()))
    };
    next(TokenKind::LParen)?;
    let (word, end) = next(TokenKind::Keyword)?;
    let keyword = (word == "thread").then_some(end - word.len())?;
    let (name, mut begin) = next(TokenKind::Id)?;
    let mut shared = None;
    if next(TokenKind::LParen).is_some()
        && next(TokenKind::Keyword).is_some_and(|(word, _)| word == "shared")
    {
        next(TokenKind::LParen)?;
        next(TokenKind::Keyword).filter(|(word, _)| *word == "module")?;
        shared = Some(&next(TokenKind::Id)?.0[1..]);
        next(TokenKind::RParen)?;
        begin = next(TokenKind::RParen)?.1;
    }
    // A piece ends with the parenthesis that closes it.
    Some(ThreadHead { name: &name[1..], keyword, shared, body: begin..piece.len() - 1 })
}

/// Whether the token is neither space nor comment.
fn has_meaning(token: &Token) -> bool {
    !matches!(token.kind, TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment)
}

struct Piece<'a>(Option<WastDirective<'a>>);

impl<'a> Parse<'a> for Piece<'a> {
    fn parse(parser: Parser<'a>) -> parser::Result<Piece<'a>> {
        let _known = ANNOTATIONS.map(|name| parser.register_annotation(name));
        if parser.is_empty() {
            return Ok(Piece(None));
        }
        if parser.step(|cursor| {
            let keyword = cursor.lparen()?.map(|inside| inside.keyword()).transpose()?.flatten();
            Ok((keyword.is_some_and(|(keyword, _)| FIELDS.contains(&keyword)), cursor))
        })? {
            let module = parser.parse::<Wat<'_>>()?;
            return Ok(Piece(Some(WastDirective::Module(QuoteWat::Wat(module)))));
        }
        parser.parens(WastDirective::parse).map(|directive| Piece(Some(directive)))
    }
}

/// Whether the text is the fields of one module, without directives around them.
fn begins_with_field(text: &str) -> bool {
    let lexer = lexer(text);
    let mut meaning = lexer.iter(0).map_while(Result::ok).filter(has_meaning);
    let open = meaning.next().is_some_and(|token| token.kind == TokenKind::LParen);
    open && meaning.next().is_some_and(|token| {
        token.kind == TokenKind::Keyword && FIELDS.contains(&token.keyword(text))
    })
}

/// Confusing Unicode characters are allowed: the test suite uses them on purpose.
fn lexer(text: &str) -> Lexer<'_> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    lexer
}

fn error_at(offset: usize, message: &str) -> Error {
    Error::new(Span::from_offset(offset), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Result<&str, String>> {
        let piece = |range| &text[range];
        split(text).into_iter().map(|item| item.map(piece).map_err(|e| e.message())).collect()
    }

    #[test]
    fn parentheses_in_strings_and_comments_do_not_cut() {
        assert_eq!(pieces("(a \")\" (b)) ;; (\n (; ( ;) (c)"), [Ok("(a \")\" (b))"), Ok("(c)")]);
    }

    #[test]
    fn what_is_outside_of_parentheses_is_an_error_and_stepped_over() {
        let found = pieces("(a) b (c)) (d");
        assert_eq!(found.len(), 5);
        assert_eq!((&found[0], &found[2]), (&Ok("(a)"), &Ok("(c)")));
        assert!(found[1].is_err() && found[3].is_err());
        assert_eq!(found[4], Err("this `(` is never closed".into()));
    }

    #[test]
    fn what_cannot_be_lexed_ends_the_script_with_an_error() {
        let found = pieces("(a) (b \"");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Ok("(a)"));
        assert!(found[1].is_err());
    }

    #[test]
    fn fields_without_a_module_around_them_are_one_module() {
        assert_eq!(pieces("(func) (memory 1)"), [Ok("(func) (memory 1)")]);
        let text = "(func) (memory 1)";
        let tokens = tokens(text).unwrap();
        assert!(matches!(directive(&tokens), Ok(Some(WastDirective::Module(_)))));
    }

    #[test]
    fn an_unknown_annotation_is_a_comment() {
        let text = "(@mine (anything) \"at all\")";
        let tokens = tokens(text).unwrap();
        assert!(matches!(directive(&tokens), Ok(None)));
    }

    #[test]
    fn a_thread_has_its_own_pieces() {
        let text = "( ;; odd\n thread $T (shared (module $M)) (register \"m\" $M) (invoke \"f\"))";
        let head = thread_head(text).unwrap();
        assert_eq!((head.name, head.shared), ("T", Some("M")));
        assert_eq!(&text[head.keyword..][..6], "thread");
        assert_eq!(text[head.body].trim(), "(register \"m\" $M) (invoke \"f\")");
        let head = thread_head("(thread $T (module))").unwrap();
        assert_eq!((head.name, head.shared, head.body), ("T", None, 10..19));
        let empty = "(thread $T)";
        assert_eq!(&empty[thread_head(empty).unwrap().body], "");
        for other in ["(module)", "(thread)", "(thread (module))", "(thread $T (shared))", "()"] {
            assert_eq!(thread_head(other), None, "{other}");
        }
    }

    #[test]
    fn a_wait_is_read() {
        let tokens = tokens("(wait $T)").unwrap();
        assert!(matches!(directive(&tokens), Ok(Some(_))));
    }
}
