//go:build !linux

package main

import "syscall"

// dieWithParent can promise nothing here: a child outlives a parent that is killed.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
