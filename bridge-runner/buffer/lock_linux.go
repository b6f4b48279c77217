// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"os"
	"syscall"
)

// lock takes an exclusive lock on the file. The lock is held until the file is closed. If another
// process holds it, lock fails.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
