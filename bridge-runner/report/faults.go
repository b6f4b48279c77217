// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// faultLogInterval is the shortest time between two log lines about faults of one kind. The
// counter includes all faults.
const faultLogInterval = 10 * time.Second

// faultLog limits the log lines about faults of one kind.
type faultLog struct {
	limit      *rate.Limiter
	suppressed int // the number of faults that were not logged since the latest log line
}

// Faults returns a function that counts and logs the packets of a side's servers that violate
// the protocol.
func (m *Metrics) Faults(side string, log *slog.Logger) func(session.Fault) {
	counter := m.faults.of(side)
	initSeries(m.zeros, counter, packet.FaultLabels...)
	var mu sync.Mutex // guards logs: two servers may be connected during a switch
	logs := map[string]*faultLog{}
	return func(f session.Fault) {
		kind := f.Faults.Label()
		counter.with(kind).inc()
		mu.Lock()
		l := logs[kind]
		if l == nil {
			l = &faultLog{limit: rate.NewLimiter(rate.Every(faultLogInterval), 1)}
			logs[kind] = l
		}
		if !l.limit.Allow() {
			l.suppressed++
			mu.Unlock()
			return
		}
		suppressed := l.suppressed
		l.suppressed = 0
		mu.Unlock()
		log.Warn(faultMessage(&f), "packet", f.Packet.String(), "size", f.Size, "fault", f.Faults.String(), "topic", truncate(f.Topic, maxTopic), "notLogged", suppressed)
	}
}

// faultMessage describes the fault, and how the runner handles the packet.
func faultMessage(f *session.Fault) string {
	switch {
	case f.Packet != packet.PUBLISH:
		return "the server sent a packet that violates the protocol; the invalid parts are ignored"
	case !f.Dropped():
		return "the server sent a message that violates the protocol; it is forwarded without the invalid parts"
	case f.Faults&packet.FaultTooLarge != 0:
		return "the server sent a message that is larger than maximumPacketSize; it is dropped and acknowledged; to forward such messages, raise maximumPacketSize"
	}
	return "the server sent a message that violates the protocol; it is dropped and acknowledged"
}
