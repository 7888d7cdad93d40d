//! Query parameters, in the forms that official clients send them.

use std::borrow::Cow;

use crate::auth::PageQuery;

use super::error::ApiError;

/// The parameters behind the `?`. Unknown ones are ignored, as the platform does.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The parameters in a query string.
    pub fn new(text: Option<&'a str>) -> Self {
        Self(text.unwrap_or_default())
    }

    /// The first value of a parameter; an empty one is as good as none.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    /// A parameter that is on or off, in the forms that official clients send (`parseBooleanOrNull` of
    /// `@apify/utilities`): 1, 0, true and false, in any letter case. Anything else is as good as none.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| {
            let value = value.trim();
            value == "1" || value.eq_ignore_ascii_case("true")
        })
    }

    /// A parameter that is a whole number from 0 on; one that is too large for anything is the largest there is.
    pub fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("Invalid value of parameter {name}: it must be a whole number from 0 on");
            return Err(ApiError::bad_request("invalid-parameter", message));
        }
        Ok(Some(text.parse().unwrap_or(usize::MAX)))
    }

    /// The `limit` of a page: what was asked for, at most `most`; 0 means not given.
    pub fn limit(&self, most: usize) -> Result<usize, ApiError> {
        Ok(self.number("limit")?.filter(|limit| *limit > 0).unwrap_or(most).min(most))
    }

    /// Reads `offset`, `limit` and `desc`: a page of at most `most` accounts or tokens.
    pub fn page(&self, most: usize) -> Result<PageQuery, ApiError> {
        let (offset, limit) = (self.number("offset")?.unwrap_or(0), self.limit(most)?);
        Ok(PageQuery { offset, limit, descending: self.flag("desc") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_on_in_every_form_that_clients_send() {
        for on in ["1", "true", "TRUE", "%20true+"] {
            assert!(Query::new(Some(&format!("a=b&unnamed={on}"))).flag("unnamed"), "{on}");
        }
        for off in ["0", "false", "", "yes"] {
            assert!(!Query::new(Some(&format!("unnamed={off}"))).flag("unnamed"), "{off}");
        }
    }

    #[test]
    fn a_limit_is_lowered_to_the_most_and_zero_is_none() {
        let limit = |query| Query::new(Some(query)).limit(1000).ok();
        assert_eq!(["", "limit=0", "limit=7", "limit=5000"].map(limit), [1000, 1000, 7, 1000].map(Some));
        assert_eq!(limit("limit=99999999999999999999"), Some(1000));
        assert_eq!(["limit=-1", "limit=x", "limit=1.5", "limit=%2B1"].map(limit), [None; 4]);
    }
}
