//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup gives cmd a process group of its own, before it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills cmd and all that it started, as far as that stayed in its process group.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// freezes says whether this system can stop a process where it stands.
const freezes = true

// freeze stops p where it stands: it keeps its sockets and does nothing.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// thaw lets p go on after freeze.
func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
