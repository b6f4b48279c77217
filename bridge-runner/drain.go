// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

const (
	// drainCheck is the time between two checks whether a draining bridge is quiet.
	drainCheck = 200 * time.Millisecond
	// quietTime is how long no message may arrive, after the server has answered a ping, until
	// it has no more messages for the bridge.
	quietTime = time.Second
	// quietLimit is how long the bridge waits for the answers to pings, and for PUBRELs of
	// messages that it has delivered.
	quietLimit = 10 * time.Second
	// drainReport is the shortest time between two reports of the number of messages.
	drainReport = 5 * time.Second
)

// quiet decides whether the sources have sent all their messages and the bridge has delivered
// them. The zero value is ready for use.
type quiet struct {
	since    time.Time          // when the bridge became idle; zero: it is not
	received uint64             // the number of messages that had arrived then
	sessions []*session.Session // the sessions of the sources then
	pongs    *atomic.Int32      // the number of sessions that have answered a ping since
}

// observation is the state of a draining bridge at a time.
type observation struct {
	// sessions are the sessions of the sources; nil stands for a source that is not connected or
	// has subscriptions.
	sessions []*session.Session
	// received is the number of messages that have arrived.
	received uint64
	// delivered says that all of them are delivered, and released that no QoS 2 message is in
	// the middle of its exchange with a source.
	delivered, released bool
}

// observe records an observation. It returns true if the bridge is quiet. ping pings a session,
// and calls the function when the server has answered.
func (q *quiet) observe(now time.Time, o observation, ping func(s *session.Session, answered func())) bool {
	if !o.delivered || slices.Contains(o.sessions, nil) {
		*q = quiet{}
		return false
	}
	if q.since.IsZero() || q.received != o.received || !slices.Equal(q.sessions, o.sessions) {
		*q = quiet{since: now, received: o.received, sessions: o.sessions, pongs: &atomic.Int32{}}
		pongs := q.pongs
		for _, s := range o.sessions {
			ping(s, func() { pongs.Add(1) })
		}
		return false
	}
	idle := now.Sub(q.since)
	return idle >= quietTime && o.released && int(q.pongs.Load()) == len(o.sessions) || idle >= quietLimit
}

// drain waits until the sources have sent their messages and the bridge has delivered them, the
// sessions may be ended without that, or ctx ends.
func (d *deletion) drain(ctx context.Context) {
	ticker := time.NewTicker(drainCheck)
	defer ticker.Stop()
	var q quiet
	var reported time.Time
	until := time.Now().Add(d.timeout / 2) // the other half is for the end of the sessions
	for {
		select {
		case <-d.ending.c:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		up, down := d.bridge.localToRemote.Undelivered(), d.bridge.remoteToLocal.Undelivered()
		messages, unknown := up.Messages+down.Messages, up.Unknown || down.Unknown
		now, sessions := time.Now(), d.unsubscribed()
		done := q.observe(now, observation{
			sessions: sessions, received: up.Received + down.Received,
			delivered: messages == 0 && !unknown,
			released:  !slices.ContainsFunc(sessions, func(s *session.Session) bool { return s != nil && s.State().AwaitsRelease() }),
		}, d.ping)
		if done || now.Sub(reported) >= drainReport {
			reported = now
			d.reportMessages(messages, unknown)
		}
		if done && d.visitServers(now, until) {
			d.log.Info("all messages are delivered")
			return
		}
	}
}

// unsubscribed returns the session of each source, nil for a source that has no session that is
// up, still has subscriptions, or is about to be replaced.
func (d *deletion) unsubscribed() []*session.Session {
	out := make([]*session.Session, 0, len(d.sources))
	for _, source := range d.sources {
		s := source.sessions.up.Load()
		if s != nil {
			select {
			case <-s.ReconnectRequested():
				s = nil
			case <-s.Done():
				s = nil
			default:
				if s.State().Subscribed() {
					s = nil
				}
			}
		}
		out = append(out, s)
	}
	return out
}

func (d *deletion) ping(s *session.Session, answered func()) {
	s.Ping(1, answered)
	d.bridge.flusher.Flush()
}

// reportMessages reports the number of messages that are not delivered.
func (d *deletion) reportMessages(messages uint64, unknown bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Messages = nil
	if messages > 0 || !unknown {
		d.status.Messages = ptr.To(int64(messages)) //nolint:gosec // far below the limit
	}
	d.reportLocked()
}
