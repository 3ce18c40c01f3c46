//! The functions that expressions may call.
//!
//! Written out, because the evaluator cannot say what it has; a test calls each of them.

/// How a function is called.
pub(super) struct Signature {
    name: &'static str,
    /// The fewest and the most arguments, without the value that it is called on.
    arguments: (usize, usize),
}

const fn signature(name: &'static str, fewest: usize, most: usize) -> Signature {
    Signature {
        name,
        arguments: (fewest, most),
    }
}

/// Functions that are called as `f(x)`.
pub(super) const GLOBAL: &[Signature] = &[
    signature("bool", 1, 1),
    signature("bytes", 1, 1),
    signature("double", 1, 1),
    signature("dyn", 1, 1),
    signature("int", 1, 1),
    signature("matches", 2, 2),
    signature("optional.none", 0, 0),
    signature("optional.of", 1, 1),
    signature("optional.ofNonZeroValue", 1, 1),
    signature("size", 1, 1),
    signature("string", 1, 1),
    signature("strings.quote", 1, 1),
    signature("type", 1, 1),
    signature("uint", 1, 1),
];

/// Functions that are called on a value, as `x.f(y)`.
pub(super) const MEMBER: &[Signature] = &[
    signature("charAt", 1, 1),
    signature("contains", 1, 1),
    signature("endsWith", 1, 1),
    signature("format", 1, 1),
    signature("hasValue", 0, 0),
    signature("indexOf", 1, 2),
    signature("join", 0, 1),
    signature("lastIndexOf", 1, 2),
    signature("lowerAscii", 0, 0),
    signature("matches", 1, 1),
    signature("or", 1, 1),
    signature("orValue", 1, 1),
    signature("replace", 2, 3),
    signature("reverse", 0, 0),
    signature("size", 0, 0),
    signature("split", 1, 2),
    signature("startsWith", 1, 1),
    signature("substring", 1, 2),
    signature("trim", 0, 0),
    signature("upperAscii", 0, 0),
    signature("value", 0, 0),
];

impl Signature {
    /// Whether this is a function of that name that takes so many arguments.
    pub(super) fn fits(&self, name: &str, count: usize) -> bool {
        let (fewest, most) = self.arguments;
        self.name == name && (fewest..=most).contains(&count)
    }
}

/// How a function of this name is called.
pub(super) fn hint(name: &str) -> String {
    let of =
        |functions: &'static [Signature]| functions.iter().find(|function| function.name == name);
    let arguments = |function: &Signature| {
        let (fewest, most) = function.arguments;
        let all = ["a", "b", "c"]
            .into_iter()
            .take(most)
            .collect::<Vec<_>>()
            .join(", ");
        if fewest < most {
            format!("{all} (the last may be left out)")
        } else {
            all
        }
    };
    let member = of(MEMBER).map(|function| format!("x.{name}({})", arguments(function)));
    let global = of(GLOBAL).map(|function| format!("{name}({})", arguments(function)));
    member
        .into_iter()
        .chain(global)
        .collect::<Vec<_>>()
        .join(", or ")
}
