//! A listener at a Unix socket: its file, and who may reach it.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

use super::config::UnixAddress;
use super::listen::{BACKLOG, BindProblem};

/// The file of a Unix socket, removed with its listener if it is still the same one.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Where the system keeps names and their numbers, one to a line: `name:x:number:...`.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if same {
            // Whoever starts next replaces it if this fails.
            let _left = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds; a socket file that a dead process left there is replaced.
pub(super) async fn bind_unix(
    wanted: &UnixAddress,
) -> Result<(UnixListener, SocketFile), BindProblem> {
    let path = wanted.path.as_path();
    let id = |table, name: &Option<String>| match name {
        Some(name) => id_of(table, name).map(Some),
        None => Ok(None),
    };
    let (owner, group) = (id(USERS, &wanted.owner)?, id(GROUPS, &wanted.group)?);
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Between `bind` and `listen` nobody can connect, whatever the umask was.
    let found = std::fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        device: found.dev(),
        inode: found.ino(),
    };
    chown(path, owner, group)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(wanted.mode))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// The number of a user or group, given by name or as a number.
fn id_of(table: &'static str, name: &str) -> Result<u32, BindProblem> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let lines = std::fs::read_to_string(table)?;
    let found = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| BindProblem::NoSuchName {
        name: name.to_owned(),
        table,
    })
}

/// Removes a socket that nobody answers at.
async fn remove_stale(path: &Path) -> Result<(), BindProblem> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(BindProblem::NotASocket),
        Ok(_) => {}
    }
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Err(BindProblem::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(std::fs::remove_file(path)?)
        }
        // A full queue (WouldBlock) or no permission: somebody may well be there.
        Err(error) => Err(error.into()),
    }
}
