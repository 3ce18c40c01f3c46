//! What those programs share that measure within this process: the scene of the comparison, and the doors.

#[path = "../compare/ask.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
pub(crate) mod ask;
#[path = "../compare/inside.rs"]
pub(crate) mod inside;
#[path = "../compare/scene.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
pub(crate) mod scene;
#[path = "../../tests/support/tokens/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
pub(crate) mod tokens;

use scene::{Scene, Signature, Token};

/// The usual token.
pub(crate) const RS256: Token = Token::Good(Signature::Rs256);

/// The configuration of the comparison, with the keys within the text: there is no folder for a file.
pub(crate) fn configuration(scene: &Scene) -> String {
    let keys = format!("jwks: {}", scene.jwks());
    scene.configuration().replace("jwks_file: keys.json", &keys)
}
