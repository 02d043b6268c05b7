//go:build !linux

package kafkatest

import "syscall"

// dieWithParent can promise nothing here: a process that is killed before Close leaves its nodes behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
