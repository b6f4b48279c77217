// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

// Action is an instruction to the driver.
type Action interface{ action() }

type (
	// ReadLease reads the Lease from the API server, not from a cache. The driver answers with
	// LeaseObserved or LeaseUnreadable.
	ReadLease struct{ Asked uint64 }
	// Acquire writes this member as the holder, with the term, if the Lease is still Expected. As after
	// Renew and Release, the driver answers with LeaseWritten within a bounded time. One write is under
	// way at a time.
	Acquire struct {
		Expected Record
		Term     uint64
	}
	// Renew renews the Lease if it is still Expected.
	Renew struct{ Expected Record }
	// Release removes the holder if the Lease is still Expected.
	Release struct{ Expected Record }
	// Join changes the entry of this member in the list of members. It changes neither the holder, the term
	// nor the time of the renewal, and proves that this member can write the Lease. The driver answers as
	// after Renew.
	Join struct{ Expected Record }
	// Dial connects to a member. The driver answers with PeerConnected or DialFailed within a bounded
	// time. PeerConnected from another process of the same pod is an answer, too.
	Dial struct{ To ID }
	// Query asks a connected member for its state. The driver answers with PeerAnswered, or the
	// connection ends.
	Query struct {
		To    ID
		Asked uint64
	}
	// Answer answers a Query of the member From by the Announcement, and by the highest claim that this
	// member knows, unless From has it. Rival is zero if there is none.
	Answer struct {
		From      ID
		Asked     uint64
		Rival     ID
		RivalTerm Term
	}
	// Disconnect closes all connections to members, with the messages in them that are not processed.
	Disconnect struct{}
	// Announce sends the Announcement to all connected members.
	Announce struct{}
	// Activate starts all bridges that are not suspended.
	Activate struct{ Term Term }
	// Deactivate ends all sessions at once, without a drain, and all suspensions. Nothing is forwarded
	// when it returns.
	Deactivate struct{}
	// Suspend does the same for one bridge.
	Suspend struct{ Bridge string }
	// Resume starts a bridge that is suspended.
	Resume struct{ Bridge string }
	// Permit permits the CONNECT packets that are requested for a bridge. If the driver cannot write
	// them within [Config.Heartbeat], it requests them again.
	Permit struct{ Bridge string }
	// Drain accepts no more messages, and waits until the accepted messages are acknowledged. The driver
	// answers with Drained within a bounded time.
	Drain struct{}
	// HandOver makes another member active. The sessions have ended, see Deactivate.
	HandOver struct {
		To   ID
		Term Term
	}
	// AskHandOver asks the active member to hand over to this member.
	AskHandOver struct{ To ID }
	// Exit says goodbye to all connected members, and ends the process.
	Exit struct{}
)

func (ReadLease) action()   {}
func (Acquire) action()     {}
func (Renew) action()       {}
func (Release) action()     {}
func (Join) action()        {}
func (Dial) action()        {}
func (Query) action()       {}
func (Answer) action()      {}
func (Disconnect) action()  {}
func (Announce) action()    {}
func (Activate) action()    {}
func (Deactivate) action()  {}
func (Suspend) action()     {}
func (Resume) action()      {}
func (Permit) action()      {}
func (Drain) action()       {}
func (HandOver) action()    {}
func (AskHandOver) action() {}
func (Exit) action()        {}
