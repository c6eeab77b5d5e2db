package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	folderMode = 0o700
	suffix     = ".sock"

	// pathMax is the longest path of a socket that every system takes, in bytes: 104 with
	// the closing zero (sun_path of macOS and the BSDs; Linux has 108).
	pathMax = 103
)

// Folders returns the folders in which a node of this user may have its socket, the
// preferred first: espial in $XDG_RUNTIME_DIR, where that is an absolute path, and
// espial-UID in the folder for temporary files. None need exist.
//
// There are two because the variable often differs between a service and a login: a node
// takes the first that works, and a client looks into both.
func Folders() []string {
	var folders []string
	// A relative path is ignored, as the XDG base directory specification asks.
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		folders = append(folders, filepath.Join(dir, "espial"))
	}
	name := "espial"
	if uid := os.Geteuid(); uid >= 0 { // Windows has none, and a folder for each user
		name += "-" + strconv.Itoa(uid)
	}
	return append(folders, filepath.Join(os.TempDir(), name))
}

// makeFolder creates folder unless it exists, and checks it.
func makeFolder(folder string) error {
	// Not its parents: a missing one means that this is not the place.
	if err := os.Mkdir(folder, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkFolder(folder)
}

// checkFolder returns an error that wraps [ErrFolder] unless folder is a folder, not a link
// to one, of mode 0700, and belongs to the user of this process. The parent may be a
// folder like /tmp in which anybody may put things first, so all of that matters.
func checkFolder(folder string) error {
	info, err := os.Lstat(folder)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a folder; remove it", ErrFolder, folder)
	case !private(info):
		mode := info.Mode().Perm()
		return fmt.Errorf("%w: %s has mode %#o; make it %#o", ErrFolder, folder, mode, folderMode)
	case !owned(info):
		return fmt.Errorf("%w: %s is another user's; set XDG_RUNTIME_DIR to one of yours", ErrFolder, folder)
	}
	return nil
}
