//! What the README shows, as text to be run.

/// The code blocks under the headline that ends with `title`, without their fences.
pub(crate) fn blocks(title: &str) -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let (_, section) = readme
        .split_once(&format!("# {title}\n"))
        .unwrap_or_else(|| panic!("the README has no headline {title:?}"));
    let end = section.find("\n#").unwrap_or(section.len());
    section[..end]
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap().1)
        .collect()
}
