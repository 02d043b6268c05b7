//go:build !linux

package redistest

import "syscall"

// dieWithParent can promise nothing here: a process that is killed before Close leaves its servers behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
