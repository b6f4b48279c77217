// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A server that was out of quota for a long time has refused all held messages. When it
// accepts them again, in any order, the cost per message is small.
func TestRefusal_ManyMessages_EachIsAcceptedQuickly(t *testing.T) {
	const messages = 20000
	quota := &session.Refusal{Error: &session.Error{Kind: session.PublishRefused, Code: 0x97}}
	for name, place := range map[string]func(i int) int{
		"in order": func(i int) int { return i },
		"reversed": func(i int) int { return messages - 1 - i },
	} {
		t.Run(name, func(t *testing.T) {
			p := newWorld(t, packet.V5, everything).pipe
			p.mu.Lock()
			defer p.mu.Unlock()
			var all []*outgoing
			for range messages {
				m := &outgoing{origin: clearedOrigin, Outgoing: session.Outgoing{Message: session.Message{QoS: 1}}}
				p.enqueueLocked(m)
				all = append(all, m)
				for range maxRefusals {
					p.refusedLocked(m, quota)
				}
			}
			start := time.Now()
			for i := range messages {
				m := all[place(i)]
				m.progress = done
				p.untrackLocked(m)
				p.acceptedLocked(m)
			}
			if passed := time.Since(start); passed > messages*50*time.Microsecond {
				t.Errorf("%v for each of %d messages", passed/messages, messages)
			}
			if len(p.refusals.byMessage) > 0 {
				t.Errorf("%d refusals are left", len(p.refusals.byMessage))
			}
			p.dequeueDoneLocked()
		})
	}
}

// Messages that are due at about the same time are sent again together, because each
// attempt costs a pass over the whole queue.
func TestRefusal_ManyMessages_AreTriedAgainTogether(t *testing.T) {
	p := newWorld(t, packet.V5, everything).pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	times := map[time.Time]bool{}
	start := time.Now()
	for range 1000 {
		m := &outgoing{origin: clearedOrigin, Outgoing: session.Outgoing{Message: session.Message{QoS: 1}}}
		p.enqueueLocked(m)
		for range maxRefusals {
			p.refusedLocked(m, &session.Refusal{Error: &session.Error{Kind: session.PublishRefused, Code: 0x97}})
		}
		times[p.refusals.byMessage[m].retryAt] = true
	}
	if most := 2 + int(time.Since(start)/firstPause); len(times) > most {
		t.Errorf("they are tried at %d times, at most %d are needed", len(times), most)
	}
}
