//! How a closed list of findings is written: variant, stable code, message; and what messages are made of.

use std::fmt;

/// Declares an enum of findings.
macro_rules! findings {
    ($(#[$meta:meta])* $name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident $({ $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty,)+ })? => $code:literal, $message:literal $(, $argument:expr)*;)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum $name {
            $($(#[doc = $doc])+ #[error($message $(, $argument)*)] $variant $({ $($(#[doc = $field_doc])+ $field: $type,)+ })?,)+
        }

        impl $name {
            /// The stable code, for tests and tools.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)+ }
            }
        }
    };
}
pub(super) use findings;

/// `, did you mean ...?`, or nothing.
pub(super) struct DidYouMean<'m>(pub(super) Option<&'m str>);

/// What to say about an unknown key: the near one, or all of them.
pub(super) struct KeyAdvice<'m>(pub(super) Option<&'m str>, pub(super) &'m [&'m str]);

/// Words with commas between them.
pub(super) struct Words<'m>(pub(super) &'m [&'m str]);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |word| write!(f, ", did you mean `{word}`?"))
    }
}

impl fmt::Display for KeyAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(_) => DidYouMean(self.0).fmt(f),
            None => write!(f, ", the keys here are {}", Words(self.1)),
        }
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}`{word}`")?;
        }
        Ok(())
    }
}
