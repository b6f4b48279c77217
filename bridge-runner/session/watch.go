// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// watch finds a silent server. When nothing has come for the keep alive it asks by
// a PINGREQ (section 3.12), and when nothing comes for the ping timeout after that
// it ends the session: so a silent server is found within the sum of the two. The
// client's own pings keep the server from ending the session; their timeout is
// not used, since it counts whole packets, and a large one may take longer.
func (s *Session) watch() {
	timer := time.NewTimer(s.cfg.KeepAlive)
	defer timer.Stop()
	var asked time.Time
	for {
		select {
		case <-timer.C:
		case <-s.done:
			return
		}
		now, heard := time.Now(), s.conn.heard()
		switch quiet := now.Sub(heard); {
		case quiet < s.cfg.KeepAlive:
			timer.Reset(s.cfg.KeepAlive - quiet)
		case !asked.After(heard):
			// An error is the connection's, and ends the session by itself.
			_, _ = s.conn.Write([]byte{packets.Pingreq << 4, 0})
			asked = now
			timer.Reset(s.cfg.PingTimeout)
		default:
			left := s.cfg.PingTimeout - now.Sub(latest(asked, s.conn.strained()))
			if left <= 0 {
				s.end(&Error{v1alpha1.ReasonPingTimeout, "the server did not answer a ping within pingTimeoutSeconds", nil})
				return
			}
			timer.Reset(left)
		}
	}
}

func latest(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}
