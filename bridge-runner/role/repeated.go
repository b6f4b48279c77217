// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import "time"

// ends are ends of sessions of a bridge.
type ends struct {
	// count is the number of ends that followed each other within the duration of the Config.
	count int
	// latest is the time of the latest one.
	latest time.Time
}

const (
	// mostEnds is the number of such ends after which a bridge pauses. Another client ends the two
	// sessions of a bridge at almost the same time.
	mostEnds = 2
	// repeatedPause is the pause, as a multiple of the duration.
	repeatedPause = 20
)

// endsRepeatedly records the end of a session whose reason is not known, and reports whether the bridge
// pauses. If a user has made the other member of a Pair active by hand, although this one lives, and the
// members cannot reach each other, the members would otherwise end each other's sessions all the time:
// MQTT 3.1.1 does not say that another client is the reason. A server that fails repeatedly looks the
// same, so that the pause is bounded.
func (m *Machine) endsRepeatedly(bridge string) bool {
	if m.cfg.Pair == nil || !m.cutOff() {
		return false
	}
	e := m.ends[bridge]
	if m.now.Sub(e.latest) > m.cfg.Duration {
		e.count = 0
	}
	e.count, e.latest = e.count+1, m.now
	m.setEnds(bridge, e)
	return e.count > mostEnds
}

// cutOff reports whether a member that may be alive is not connected.
func (m *Machine) cutOff() bool {
	for _, p := range m.others() {
		if !p.connected {
			return true
		}
	}
	return false
}

// hasPaused reports whether the pause of a bridge is over, or there is none.
func (m *Machine) hasPaused(f fence) bool {
	return !f.repeated || m.now.Sub(f.at) >= repeatedPause*m.cfg.Duration
}

// resumed records that a bridge continues after a fence. If it has paused, the next end of a session makes
// it pause again.
func (m *Machine) resumed(f fence) {
	if f.repeated {
		m.setEnds(f.bridge, ends{mostEnds, m.now})
	}
}

func (m *Machine) setEnds(bridge string, e ends) {
	if m.ends == nil {
		m.ends = map[string]ends{}
	}
	m.ends[bridge] = e
}
