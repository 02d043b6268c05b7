package redistest

import "syscall"

// dieWithParent makes the system kill a child whose parent is gone, however it went.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
