package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup keeps an interrupt at the console from cmd.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup kills cmd alone.
func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }

// freezes says whether this system can stop a process where it stands.
const freezes = false

// freeze stops p where it stands, which this system cannot.
func freeze(*os.Process) error { return errors.ErrUnsupported }

// thaw lets p go on, which this system cannot.
func thaw(*os.Process) error { return errors.ErrUnsupported }
