// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Update replaces the rules, the meter and the options of a pipe that may be in use. Messages
// that arrive from now on follow the new rules. Messages that the pipe holds, in memory or on
// disk, keep their place and the form that the earlier rules gave them. If the process ends
// during Update, nothing is lost: Update changes no message and writes nothing to the disk.
//
// opts.Disk and opts.Flush are ignored: the pipe keeps the values that [New] received. Two
// goroutines must not call Update of the same pipe at the same time.
func (p *Pipe) Update(rules []manifest.Rule, meter Meter, opts Options) {
	p.replace(rules, meter, opts).Replaced()
}

// replace does the work of Update. It returns the meter that the pipe does not use any more.
func (p *Pipe) replace(rules []manifest.Rule, meter Meter, opts Options) (previous Meter) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	opts = opts.withDefaults()
	opts.Disk, opts.Flush = p.opts.Disk, p.opts.Flush
	previous = p.meter
	p.routes, p.meter, p.opts = p.routes.changed(rules), meter, opts
	if p.pace.rate != opts.Drain {
		// At a low rate, the messages sent so far may have used the time of hours.
		p.pace, p.pacedUntil = pace{rate: opts.Drain}, time.Time{}
	}
	if !opts.Unforwardable.Block {
		p.releaseBlockedLocked()
	}
	p.pumpLocked()
	p.dequeueDoneLocked() // asks the sources to send again, if there is more memory now
	return previous
}
