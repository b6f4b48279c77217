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

// faultLogged is how often faults of one kind are logged. The counter has them all.
const faultLogged = 10 * time.Second

// faultLog logs the faults of one kind.
type faultLog struct {
	limit      *rate.Limiter
	suppressed int // since the last one that was logged
}

// Faults returns a function that counts and logs the packets of a side's servers that
// break the protocol.
func (m *Metrics) Faults(side string, log *slog.Logger) func(session.Fault) {
	counter := m.faults.MustCurryWith(map[string]string{"side": side})
	var mu sync.Mutex // two servers may be connected while one takes the other's place
	logs := map[string]*faultLog{}
	return func(f session.Fault) {
		kind := f.Faults.Kind()
		counter.WithLabelValues(kind).Inc()
		mu.Lock()
		l := logs[kind]
		if l == nil {
			l = &faultLog{limit: rate.NewLimiter(rate.Every(faultLogged), 1)}
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

// faultMessage says what becomes of the packet.
func faultMessage(f *session.Fault) string {
	switch {
	case f.Packet != packet.PUBLISH:
		return "the server sent a packet that breaks the protocol; its invalid parts are ignored"
	case !f.Dropped():
		return "the server sent a message that breaks the protocol; it is forwarded without its invalid parts"
	case f.Faults&packet.FaultTooLarge != 0:
		return "the server sent a message that is larger than maximumPacketSize; it is dropped and acknowledged"
	}
	return "the server sent a message that breaks the protocol; it is dropped and acknowledged"
}
