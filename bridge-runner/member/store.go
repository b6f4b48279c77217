// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/lease"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// LeaseConfig has the settings of a group with a Lease.
type LeaseConfig struct {
	Cluster         *rest.Config
	Namespace, Name string
	// Duration is the validity of the Lease without a renewal, in whole seconds.
	Duration time.Duration
	// Pod and Node are the names of the pod and of its node.
	Pod, Node string
	// Address is the address at which the other members reach the listener.
	Address netip.AddrPort
}

const (
	// shortestSilence is the shortest limit for the silence of another member. It is longer than the interval
	// of heartbeats of each member, whatever its duration of the Lease is.
	shortestSilence = 3 * time.Second
	// shortestRequest and longestRequest limit the timeout of requests to the API server.
	shortestRequest, longestRequest = time.Second, 2 * time.Second
)

// store carries out the actions for the Lease, and reports its records. It enters this process into the
// list of the Lease at the start, and again if it is not in the list any more. The machine receives no
// record before the process has been entered. A nil store does nothing.
type store struct {
	member *Member
	client *lease.Client
	entry  lease.Member
	roster *roster

	// Only the goroutine of Run uses these fields.

	// record is the latest record that the machine has received.
	record lease.Record
	// restores is the number of times that the term of the Lease has gone back, because the API server's
	// data was restored from a backup. The machine treats it as another Lease.
	restores int
	// entered is true when the process has been in the list. entering is true while it enters itself.
	entered, entering bool
	// acquired is the cause of an activation by the latest Acquire.
	acquired Cause
	// released is true if the process has released the Lease.
	released bool
	// problem is why the latest write failed. It is empty if it succeeded.
	problem string
}

// useLease makes the settings of a group with a Lease.
func (m *Member) useLease(group *peer.Config, own peer.Fingerprint) error {
	cfg := m.cfg.Lease
	m.role = role.Config{
		Self: role.ID{Pod: cfg.Pod, Process: rand.Text()}, Duration: cfg.Duration,
		RequestTimeout: min(max(cfg.Duration/10, shortestRequest), longestRequest),
	}
	self := identity(m.role.Self)
	client, err := lease.New(cfg.Cluster, lease.Config{
		Namespace: cfg.Namespace, Name: cfg.Name, Identity: self, Duration: cfg.Duration,
		Timeout: m.role.RequestTimeout, Log: m.cfg.Log,
	})
	if err != nil {
		return err
	}
	r := newRoster(m.role.Self, cfg.Duration)
	m.directory = r
	m.store = &store{member: m, client: client, roster: r, entry: lease.Member{
		Identity: self, Pod: cfg.Pod, Node: cfg.Node, Address: cfg.Address.String(), Fingerprint: string(own), Started: time.Now(),
	}}
	group.Group, group.Silence = cfg.Namespace+"/"+cfg.Name, max(cfg.Duration/5, shortestSilence)
	return nil
}

// start watches the Lease until the returned function is called.
func (s *store) start() (stop func()) {
	if s == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go s.client.Run(ctx)
	go s.follow(ctx)
	s.enter()
	return cancel
}

// follow reports the records of the watch. If a process with a key that is not in the list connects, it
// reads the Lease: the process may have entered itself just before.
func (s *store) follow(ctx context.Context) {
	var readAt time.Time
	for {
		select {
		case <-s.client.Records():
			s.member.post(func() { s.report(0) }) //nolint:contextcheck // the entry has a context of its own
		case <-s.roster.unknown:
			if time.Since(readAt) >= s.member.role.Heartbeat() {
				readAt = time.Now()
				_, _ = s.client.Get(ctx) // a new record is received above
			}
		case <-ctx.Done():
			return
		}
	}
}

// report reports the latest record to the machine. asked is the number of a ReadLease, or 0.
func (s *store) report(asked uint64) {
	if r, ok := s.observe(); ok {
		s.member.step(role.LeaseObserved{Record: r, Asked: asked})
	} else if asked != 0 {
		s.member.step(role.LeaseUnreadable{})
	}
}

// observe returns the latest record. ok is false if the machine must not receive it: the Lease does not
// exist, or the process has not been entered.
func (s *store) observe() (r role.Record, ok bool) {
	latest, ok := s.client.Latest()
	if !ok || latest.Missing {
		return role.Record{}, false
	}
	if s.roster.update(latest) {
		s.entered = true
	} else {
		s.enter()
	}
	if latest.UID == s.record.UID && latest.Term < s.record.Term {
		s.restores++
	}
	s.member.hearOfHolder(latest, s.record)
	s.record = latest
	return s.forMachine(latest), s.entered
}

// forMachine converts a record.
func (s *store) forMachine(r lease.Record) role.Record {
	out := role.Record{
		UID: fmt.Sprintf("%s/%d", r.UID, s.restores), Version: r.Version(), Holder: parseIdentity(r.Holder),
		Term: uint64(max(r.Term, 0)), Renewed: r.RenewTime.Format(time.RFC3339Nano), Duration: r.Duration,
	}
	for _, m := range r.Members {
		out.Members = append(out.Members, parseIdentity(m.Identity))
	}
	return out
}

// hearOfHolder records a renewal by another member as a sign of its life. Of the first record, only the
// holder's clock says when it was renewed.
func (m *Member) hearOfHolder(r, before lease.Record) {
	id := parseIdentity(r.Holder)
	if id == (role.ID{}) || id == m.role.Self || r.Holder == before.Holder && r.RenewTime.Equal(before.RenewTime) {
		return
	}
	at := time.Now()
	if before.UID == "" && r.RenewTime.Before(at) {
		at = r.RenewTime
	}
	if m.active = id; at.After(m.heardAt) {
		m.heardAt = at
	}
}

// carryOut carries out an action for the Lease.
func (s *store) carryOut(a role.Action) {
	if s == nil {
		return
	}
	expected, gone := s.record, s.gone()
	switch a := a.(type) {
	case role.ReadLease:
		go func() {
			_, err := s.client.Get(context.Background())
			s.member.post(func() { s.read(a.Asked, err) })
		}()
	case role.Acquire:
		s.acquired, s.released = s.causeOf(a.Expected.Holder), false
		s.write(func(ctx context.Context) (lease.Record, error) {
			return s.client.Acquire(ctx, expected, int64(a.Term), gone) //nolint:gosec // terms count takeovers
		})
	case role.Renew:
		s.write(func(ctx context.Context) (lease.Record, error) { return s.client.Renew(ctx, expected, gone) })
	case role.Release:
		s.released = true
		s.write(func(ctx context.Context) (lease.Record, error) { return s.client.Release(ctx, expected) })
	case role.Join:
		entry := s.entry
		entry.Checked = time.Now() // the API server does not store an object that has not changed
		s.write(func(ctx context.Context) (lease.Record, error) { return s.client.Join(ctx, entry) })
	}
}

// gone returns the members whose entries are of no use.
func (s *store) gone() map[string]bool {
	gone := map[string]bool{}
	for _, m := range s.record.Members {
		gone[m.Identity] = s.member.machine.Gone(parseIdentity(m.Identity))
	}
	return gone
}

// causeOf returns the cause of an activation by the acquisition of the Lease from a holder.
func (s *store) causeOf(holder role.ID) Cause {
	switch {
	case holder == role.ID{}:
		return LeaseReleased
	case s.member.machine.Dead(holder):
		return PeerEnded
	}
	return LeaseExpired
}

// read reports the end of a ReadLease.
func (s *store) read(asked uint64, err error) {
	if err != nil {
		s.member.step(role.LeaseUnreadable{})
		return
	}
	s.report(asked)
}

// write makes a write, and reports its end.
func (s *store) write(do func(context.Context) (lease.Record, error)) {
	go func() {
		_, err := do(context.Background()) // the client limits its time
		s.member.post(func() { s.written(err) })
	}()
}

// written reports the end of a write.
func (s *store) written(err error) {
	r, ok := s.observe()
	switch {
	case ok && err == nil:
		s.logProblem(nil)
		s.member.step(role.LeaseWritten{Result: role.Written, Record: r})
	case ok && errors.Is(err, lease.ErrConflict):
		s.logProblem(nil)
		s.member.step(role.LeaseWritten{Result: role.Conflict, Record: r})
	default:
		s.logProblem(err)
		s.member.step(role.LeaseWritten{Result: role.Unknown})
	}
}
