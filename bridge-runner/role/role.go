// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package role decides which member of a group is active. A group is a set of runner processes,
// its members, that forward the messages of the same bridges. The active member is the coordinator
// of the group: it assigns the bridges to members. At present it assigns every bridge to itself.
//
// The package is a pure state machine: the driver reports events with their times, and carries out
// the actions that Step returns. Connections, the API server and the clock are the driver's tasks.
//
// Three mechanisms have one task each:
//
//   - The Lease says who is active. It has a holder and a term, which grows when the holder changes.
//   - A connection between the members detects. A member that is not active dials the others. Both
//     ends send their state at each [Config.Heartbeat].
//   - The MQTT client identifier fences. A member that becomes active connects with the same client
//     identifiers, and the servers end the older sessions.
//
// # Promises
//
// A claim is a member's statement that it is active, with its term. Claims are ordered by their terms:
// by the term of the Lease when a member last wrote it, and then by the number of members that have
// become active since without a write. So a claim that is written is higher than all claims that
// follow the same record without a write.
//
//   - No member connects to a server after a member with a higher claim has connected, while that
//     member lives and claims. Each CONNECT packet needs a permission, see "Permission". An unknown
//     process is the exception: a member that is cut off from the API server cannot know a process that
//     starts later, if the members cannot reach each other, either.
//   - A member that was frozen writes nothing to a server before it is confirmed.
//   - The end of a connection, and an API server that does not answer or accepts no writes, change no
//     role. If only the active member is cut off from it, this member hands over when its Lease expires.
//   - When the faults end, one member becomes active, and stays active.
//
// # Evidence
//
// A standby becomes active for one of these reasons, and for no other:
//
//   - Proof of death: the active member's process has ended. Its host refuses a connection to its
//     address, another process answers there, or the process has said goodbye. The standby activates
//     at once and writes the Lease as soon as it can. Because this needs no API server, only one
//     standby may do so: the successor, which the active member names in its heartbeats. If the Lease
//     has expired, third members must answer that they are not active. With a Lease, a refusal proves
//     nothing before the members were connected, or if the process writes the Lease afterwards: it may
//     be the work of a firewall.
//   - Hand-over: the active member has drained its sessions, and hands over by a message. It does not
//     forward again before it becomes active by a later claim.
//   - Lease: the record has not changed for its duration although the API server answers, or it has no
//     holder, or its holder is proven dead and no successor can exist, or its holder's address refuses and
//     the holder has missed a renewal. The standby writes the Lease first, and activates afterwards. The
//     age of a record is the time since this member has observed its last change, by this member's clock.
//     If the active member is connected, and the standby can write its own entry in the Lease, it asks the
//     active member to hand over first.
//
// # Permission
//
// A CONNECT packet is permitted, without a question, while the own Lease is valid by the own clock: no
// other member can have acquired it. Otherwise the member needs a confirmation: a write of its Lease
// that began later and succeeded, or the answers of all other live members to a question that was
// asked later. A member that answers promises not to become active by itself for longer than the
// permission lasts. If all known members are dead, a write that the API server does not answer is
// enough. The same confirmation is needed after a server has said that another client has taken the
// session over, and after a freeze. In these cases the validity of the Lease is not enough.
package role

import (
	"time"
)

// State is the state of a member. Its text is part of the status.
type State string

const (
	// Starting means that the member has not observed the Lease and knows no active member. It forwards
	// nothing, and has never forwarded.
	Starting State = "Starting"
	// Standby means that the member forwards nothing, and that another member may be active. The
	// member's earlier claim, if there was one, is void.
	Standby State = "Standby"
	// TakingOver means that the member forwards nothing, and that a write of the Lease with its name is
	// under way. If the write succeeds, the member activates.
	TakingOver State = "TakingOver"
	// Active means that the member forwards, with the claim of its term. It knows no higher claim. Bridges
	// whose sessions were ended are suspended until the claim is confirmed.
	Active State = "Active"
	// HandingOver means that the member was active and drains its sessions. It still has its claim. After
	// the hand-over it is a standby, or waits for the claim of the other member and then stops.
	HandingOver State = "HandingOver"
	// SteppedDown means that the member was active and was frozen, or that its session was ended before
	// it could hand over. It forwards nothing, keeps its claim, and asks whether another member has
	// become active.
	SteppedDown State = "SteppedDown"
	// Stopped means that the process ends. The member never forwards again.
	Stopped State = "Stopped"
)

// Reason is why a member has become active.
type Reason string

const (
	// NoneActive means that the other member of a Pair lives and is not active.
	NoneActive Reason = "NoneActive"
	// PeerDead means that it is proven that the processes of the other members have ended that could be active.
	PeerDead Reason = "PeerDead"
	// TimedOut means that the other member of a Pair could not be reached for the Timeout.
	TimedOut Reason = "TimedOut"
	// Acquired means that the member has acquired the Lease.
	Acquired Reason = "Acquired"
	// HandedOver means that another member has handed over.
	HandedOver Reason = "HandedOver"
	// ByHand means that a user has declared the other member dead.
	ByHand Reason = "ByHand"
	// Confirmed means that the member was active before, and continues.
	Confirmed Reason = "Confirmed"
)

// Claims reports whether a member in this state says that it is active.
func (s State) Claims() bool { return s == Active || s == HandingOver }

// waits reports whether a member in this state waits for a reason to become active.
func (s State) waits() bool { return s == Starting || s == Standby || s == TakingOver }

// Config are the settings of a member.
type Config struct {
	// Self is the identity of this process.
	Self ID
	// Duration is the time for which the Lease is valid after a renewal. It is greater than 0. Most other
	// times are fractions of it. While a user changes it, the members of a group have different durations.
	Duration time.Duration
	// RequestTimeout bounds a request to the API server. It is not used in a Pair.
	RequestTimeout time.Duration
	// Pair is not nil if there is no Lease: the group has two members, and no API server.
	Pair *Pair
}

// Heartbeat is the interval of ticks and heartbeats. A permission lasts for the same time.
func (c *Config) Heartbeat() time.Duration { return min(c.Duration/15, longestHeartbeat) }

// FreezeLimit is the time without a tick after which the driver stops forwarding and reports Froze.
// It is less than the time for which the Lease remains valid when its next renewal is due.
func (c *Config) FreezeLimit() time.Duration { return c.Duration / 2 }

// renewal is the interval of renewals.
func (c *Config) renewal() time.Duration { return c.Duration / 3 }

// retry is the pause after a failed write of the Lease, and the least interval of reads.
func (c *Config) retry() time.Duration { return c.Duration / 5 }

// Machine is the role of one member. It is not safe for concurrent use.
type Machine struct {
	cfg   Config
	state State
	// term is the term of the member's own claim. It is valid in Active, HandingOver and SteppedDown.
	term Term
	// yielded is the latest term whose claim the member has given up.
	yielded Term
	// activations is the number of times that the member has become active.
	activations uint64
	// warm is true if the member can take over at once.
	warm bool
	// shutdown is true if the process is to end.
	shutdown bool

	lease   lease
	members []*member
	// reason is why the member has become active. It is valid if it ever was.
	reason Reason
	// named is the latest statement of an active member that this member is its successor.
	named naming
	// successor is the standby that may become active without the Lease. It is valid in Active and
	// HandingOver. It changes only if the earlier successor cannot use the proof of this member's death
	// any more.
	successor ID
	// asked is the latest request to hand over. It outlives changes of the role.
	asked request
	// handover is the progress of the state HandingOver.
	handover handover
	// handed is the latest hand-over by this member.
	handed handed
	// promisedUntil is the time until which the member does not become active by itself, because it has
	// answered that it is not active.
	promisedUntil time.Time
	// permittedUntil is the time until which no other member can have become active. The answers and
	// the reason of the activation last that long.
	permittedUntil time.Time
	// aloneUntil is the end of the time after the latest confirmation without an answer, in which the
	// end of a session counts as taken over.
	aloneUntil time.Time
	// fences are the bridges that wait for a confirmation, in the states Active and HandingOver.
	fences []fence
	// ends are the latest ends of sessions of each bridge of a Pair that the other member may explain.
	ends map[string]ends
	// retaken are the latest activations of this member of a Pair after a fence without contact.
	retaken retaken
	// met is the other member of a Pair when this member became active.
	met met
	// doubt is the reason for the state SteppedDown.
	doubt fence

	// seq counts the calls of Step. It orders questions and answers.
	seq uint64
	now time.Time
	// startedAt is the start of the process, or the end of the latest time in which it was frozen.
	startedAt time.Time
	// bornAt is the start of the process.
	bornAt  time.Time
	actions []Action
}

// New returns the machine of a process that starts at the time now.
func New(cfg Config, now time.Time) *Machine {
	m := &Machine{cfg: cfg, state: Starting, startedAt: now, bornAt: now, now: now}
	if cfg.Pair != nil {
		pair := *cfg.Pair // it changes
		m.cfg.Pair = &pair
		m.know(ID{Pod: cfg.Pair.Peer})
	}
	return m
}

// Reason returns why the member has become active. The driver calls it when it carries out Activate.
func (m *Machine) Reason() Reason { return m.reason }

// State returns the state of the member.
func (m *Machine) State() State { return m.state }

// Announcement is the state that the driver sends in each hello, heartbeat and answer.
func (m *Machine) Announcement() Announcement {
	a := Announcement{State: m.state, Warm: m.warm, Duration: m.cfg.Duration, Activations: m.activations}
	if !m.state.waits() {
		a.Term = m.term
	}
	if m.state.Claims() {
		a.Successor = m.successor
	}
	return a
}

// Said returns the latest announcement of another member. It is zero if there was none.
func (m *Machine) Said(id ID) Announcement {
	if i := m.find(id); i >= 0 {
		return m.members[i].said
	}
	return Announcement{}
}

// Step processes an event, and returns the actions in the order in which the driver must carry them
// out. The driver reports events in the order in which they happen.
func (m *Machine) Step(e Event, now time.Time) []Action {
	if m.state == Stopped {
		return nil
	}
	m.seq++
	m.now, m.actions = now, nil
	before := m.Announcement()
	m.expireDeaths()
	m.learn(e)
	for state := State(""); state != m.state; {
		state = m.state
		m.decide()
	}
	if m.Announcement() != before && m.state != Stopped {
		m.do(Announce{})
	}
	return m.actions
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

// learn updates the member's knowledge. It changes the state only if the event does so in itself.
func (m *Machine) learn(e Event) {
	switch e := e.(type) {
	case LeaseObserved:
		m.observe(e.Record)
		if e.Asked != 0 {
			m.readEnded(true)
		}
	case LeaseUnreadable:
		m.readEnded(false)
	case LeaseWritten:
		m.writeEnded(e)
	case TermFound:
		m.lease.found = max(m.lease.found, e.Term)
		if m.holds() {
			m.lease.writeAt = m.now
		}
	case PeerConnected, PeerHeartbeat, PeerAnswered, PeerEnded, PeerReplaced, PeerGoodbye, DialFailed:
		m.learnOfPeer(e)
	case PeerAsksHandOver:
		m.askedToHandOver(e.From)
	case PeerHandedOver:
		m.receiveHandOver(e)
	case PeerAsked:
		m.receiveQuery(e)
	case SettingsKnown:
		m.cfg.Pair.Preferred, m.cfg.Pair.Timeout = e.Preferred, e.Timeout
	case ConnectRequested:
		m.requestConnect(e)
	case SessionEnded:
		m.fence(e)
	case Froze:
		m.freeze()
	case Warm:
		m.warm = e.Warm
	case Drained:
		m.handover.drained = true
	case ShutdownRequested:
		m.shutdown = true
	case HandOverRequested:
		if m.state == Active && m.target(ID{}) != nil {
			m.drain(ID{})
		}
	case TakeOverRequested:
		if m.cfg.Pair != nil && !m.state.Claims() {
			m.activate(m.blindTerm(2), ByHand)
		}
	case Tick:
	}
}

// decide carries out the next step of the current state.
func (m *Machine) decide() {
	switch m.state {
	case Starting, Standby:
		m.decideWaiting()
	case TakingOver:
		m.decideTakingOver()
	case Active:
		m.decideActive()
	case HandingOver:
		m.decideHandingOver()
	case SteppedDown:
		m.decideSteppedDown()
	case Stopped:
	}
}
