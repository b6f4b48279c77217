// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "syscall"

// attributes gives a child process its own process group, so that Ctrl-C reaches only this program,
// which then stops the child. The kernel kills the child if this program is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
