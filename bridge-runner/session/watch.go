// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// watch finds a silent server, and keeps the session alive.
//
// When nothing has come, or nothing was sent ([MQTT-3.1.2-23]), for the keep alive it
// sends a PINGREQ (section 3.12), and when nothing comes for the ping timeout after
// that it ends the session: so a silent server is found within the sum of the two.
// Any bytes are an answer, since a large packet may take longer than a ping.
//
// While messages are in flight it ends the session, too, where none of them is
// acknowledged for the acknowledgement timeout, or one was passed over for that long
// ([MQTT-4.6.0-2]). The server may be slow with many messages, and the link with
// large ones, but not silent.
func (s *Session) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var asked time.Time // when the PINGREQ without an answer was sent
	for {
		select {
		case <-timer.C:
		case <-s.gone:
			return
		}
		now, heard := time.Now(), s.conn.socket.heard()
		if !asked.IsZero() && heard.After(asked) {
			asked = time.Time{}
		}
		next, err, how := s.checkAcks(now)
		switch {
		case err != nil:
		case asked.IsZero():
			left := s.keepAlive - now.Sub(earliest(heard, s.lastSent()))
			if left <= 0 {
				s.write(packet.AppendPing)
				s.Flush()
				asked, left = now, min(s.cfg.PingTimeout, s.keepAlive)
			}
			next = min(next, left)
		default:
			again := s.keepAlive - now.Sub(s.lastSent())
			if again <= 0 { // the server counts what comes, not what it answers
				s.write(packet.AppendPing)
				s.Flush()
				again = s.keepAlive
			}
			left := s.cfg.PingTimeout - now.Sub(latest(asked, s.conn.socket.lastStrained()))
			if left <= 0 {
				err = newError(v1alpha1.ReasonPingTimeout, "the server did not answer a ping within pingTimeoutSeconds", nil)
			}
			next = min(next, left, again)
		}
		if err != nil {
			s.refuse(codeUnspecified, err, how)
			return
		}
		timer.Reset(next)
	}
}

// checkAcks returns how long it takes at least until an acknowledgement is overdue,
// or the error that one is.
func (s *Session) checkAcks(now time.Time) (left time.Duration, overdue *Error, how Ending) {
	strained := s.conn.socket.lastStrained()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.unacknowledged == 0 && (!s.releasing || len(s.state.out.stale) == 0) {
		return s.cfg.AckTimeout, nil, how
	}
	left = s.cfg.AckTimeout - now.Sub(latest(s.progressed, strained))
	if left <= 0 {
		if s.releasing && !s.releasedSome {
			s.state.out.support = qos2Doubtful
		}
		return 0, newError(v1alpha1.ReasonAckTimeout, fmt.Sprintf("the server has acknowledged no message for %v", s.cfg.AckTimeout), nil), Ending{Silent: true, PassedOver: !s.overtaken.IsZero()}
	}
	if s.overtaken.IsZero() {
		return left, nil, how
	}
	passed := s.cfg.AckTimeout - now.Sub(latest(s.overtaken, strained))
	if passed <= 0 {
		return 0, newError(v1alpha1.ReasonAckTimeout, fmt.Sprintf("the server has acknowledged later messages and left one out for %v", s.cfg.AckTimeout), nil), Ending{Silent: true, PassedOver: true}
	}
	return min(left, passed), nil, how
}

func (s *Session) lastSent() time.Time {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.sent
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
