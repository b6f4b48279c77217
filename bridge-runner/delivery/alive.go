// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "time"

// diskPatience is how long the disk may take for a round of [Pipe.Keep], besides the
// watchdog's own limit.
const diskPatience = 90 * time.Second

// KeepOverdue is for how long a round of [Pipe.Keep] should have been over. It is 0 while
// there is nothing to do.
func (p *Pipe) KeepOverdue() time.Duration { return p.keeper.Overdue() }

// TryLock takes the pipe's lock, and releases it. It blocks while the lock is held.
func (p *Pipe) TryLock() {
	p.mu.Lock()
	p.mu.Unlock() //nolint:gocritic,staticcheck // the section is empty on purpose
}
