// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "time"

// spoolAllowance is how long the disk may delay a step of [Pipe.RunSpool], in addition to
// the watchdog's own limit.
const spoolAllowance = 90 * time.Second

// SpoolOverdue returns for how long a step of [Pipe.RunSpool] has been overdue. It is 0
// while there is nothing to do.
func (p *Pipe) SpoolOverdue() time.Duration {
	if p.spool == nil {
		return 0
	}
	return p.spool.task.Overdue()
}

// CheckLock takes the pipe's lock and releases it. It blocks while the lock is held.
func (p *Pipe) CheckLock() {
	p.mu.Lock()
	p.mu.Unlock() //nolint:gocritic,staticcheck // the section is empty on purpose
}
