//! What an expression sees: the claims and the request as CEL values, as far as the expression reads them.

use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde_json::Number;

use super::analysis::{Names, Reads};
use crate::domain::claims::Principal;
use crate::domain::json::Json;
use crate::domain::reason::DenyReason;
use crate::domain::request::RequestContext;

/// Headers that carry credentials, which no expression sees.
pub(super) const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

type Entries<'v> = HashMap<CelMapKey<'v>, Box<dyn Val + 'v>>;

/// The claims that are read; `None` if none is.
///
/// Converted for each decision, at the price of the claims that the expression names.
pub(super) fn claims<'v>(read: &Names, principal: &'v Principal) -> Option<CelMap<'v>> {
    let claims = principal.claims().members();
    let entries: Entries<'v> = match read {
        Names::None => return None,
        Names::Some(names) => claims
            .iter()
            .filter(|(name, _)| names.iter().any(|read| **read == **name))
            .map(|(name, value)| (key(name), of_json(&value)))
            .collect(),
        Names::All => claims
            .iter()
            .map(|(name, value)| (key(name), of_json(&value)))
            .collect(),
    };
    Some(entries.into())
}

/// The request's fields; `None` if none is read.
///
/// # Errors
/// [`DenyReason::ConditionError`] if a header that is read is not text: it could neither be shown nor left out,
/// since an expression may ask that it be absent.
pub(super) fn request<'v>(
    reads: &Reads,
    request: &'v RequestContext<'_>,
) -> Result<Option<CelMap<'v>>, DenyReason> {
    if !reads.request && reads.headers == Names::None {
        return Ok(None);
    }
    let mut fields = Entries::from([
        (key("method"), text(request.method.as_str())),
        (key("host"), text(request.host.as_str())),
        (key("path"), text(request.path.as_str())),
        (key("query"), text(request.query.unwrap_or_default())),
    ]);
    if let Some(client) = request.client {
        fields.insert(key("client_ip"), owned(client.to_string()));
    }
    if let Some(client) = request.client_principal {
        fields.insert(key("client_principal"), text(client));
    }
    if reads.headers != Names::None {
        fields.insert(
            key("headers"),
            Box::new(CelMap::from(headers(&reads.headers, request)?)),
        );
    }
    Ok(Some(fields.into()))
}

fn headers<'v>(read: &Names, request: &'v RequestContext<'_>) -> Result<Entries<'v>, DenyReason> {
    let mut joined: HashMap<String, String> = HashMap::new();
    for (name, value) in request.headers.iter() {
        let name = name.to_ascii_lowercase();
        let is_read = match read {
            Names::None => false,
            Names::Some(names) => names.iter().any(|read| **read == *name),
            Names::All => !CREDENTIAL_HEADERS.contains(&name.as_str()),
        };
        if !is_read {
            continue;
        }
        let value = std::str::from_utf8(value).map_err(|_not_text| DenyReason::ConditionError)?;
        joined
            .entry(name)
            .and_modify(|earlier| {
                // One value, as RFC 9110 §5.3 combines them: never the first or the last alone.
                earlier.push_str(", ");
                earlier.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    Ok(joined
        .into_iter()
        .map(|(name, value)| (CelMapKey::String(CelString::from(name)), owned(value)))
        .collect())
}

fn of_json<'v>(value: &Json<'v>) -> Box<dyn Val + 'v> {
    match value {
        Json::Null => Box::new(CelNull),
        Json::Bool(value) => Box::new(CelBool::from(*value)),
        Json::Number(number) => of_number(number),
        Json::Text(value) => text(value),
        Json::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|value| of_json(&value)).collect();
            Box::new(CelList::from(elements))
        }
        Json::Object(members) => {
            let members: Entries<'v> = members
                .iter()
                .map(|(name, value)| (key(name), of_json(&value)))
                .collect();
            Box::new(CelMap::from(members))
        }
    }
}

/// `int` where it fits, else `uint`, else `double`: CEL compares the three by value.
fn of_number<'v>(number: &Number) -> Box<dyn Val + 'v> {
    if let Some(int) = number.as_i64() {
        Box::new(CelInt::from(int))
    } else if let Some(uint) = number.as_u64() {
        Box::new(CelUInt::from(uint))
    } else {
        // Without arbitrary precision every number is a double at least; NaN equals nothing.
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

fn key(name: &str) -> CelMapKey<'_> {
    CelMapKey::String(CelString::from(name))
}

fn text<'v>(value: &'v str) -> Box<dyn Val + 'v> {
    Box::new(CelString::from(value))
}

fn owned<'v>(value: String) -> Box<dyn Val + 'v> {
    Box::new(CelString::from(value))
}
