package main

import "syscall"

// dieWithParent makes the system kill a child whose parent is gone, however it went. A group of its own spares it the
// interrupt of a terminal, so that it ends by this program's hand.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
