// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet shows bridges: as one table sorted by trouble, or one by one in detail. It is pure:
// it gets the objects of the API server and the counters of the runners, and connects to nothing.
package fleet

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// View is a list of bridges for users and programs.
type View struct {
	Bridges []Bridge `json:"bridges"`
	// Notes say which information is missing, and why.
	Notes []string `json:"notes,omitempty"`
}

// Bridge is the state of a bridge.
type Bridge struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State summarizes the conditions. Since is when the condition that decides became so, and
	// Reason and Message are its reason and message.
	State   State      `json:"state"`
	Since   *time.Time `json:"since,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Message string     `json:"message,omitempty"`

	// Generation is the generation of the spec, and RunningGeneration the generation that the runner runs.
	Generation        int64 `json:"generation"`
	RunningGeneration int64 `json:"runningGeneration,omitempty"`

	Local  *v1alpha1.SideStatus `json:"local,omitempty"`
	Remote *v1alpha1.SideStatus `json:"remote,omitempty"`
	// LocalToRemote and RemoteToLocal are nil if the runner could not be asked; Unknown says why.
	LocalToRemote *Flow  `json:"localToRemote,omitempty"`
	RemoteToLocal *Flow  `json:"remoteToLocal,omitempty"`
	Unknown       string `json:"unknown,omitempty"`

	Buffer        *v1alpha1.BufferStatus        `json:"buffer,omitempty"`
	Unforwardable *v1alpha1.UnforwardableStatus `json:"unforwardable,omitempty"`
	Deletion      *v1alpha1.DeletionStatus      `json:"deletion,omitempty"`
	Runners       []v1alpha1.RunnerStatus       `json:"runners,omitempty"`
	LastTakeover  *v1alpha1.TakeoverRecord      `json:"lastTakeover,omitempty"`
	Conditions    []metav1.Condition            `json:"conditions,omitempty"`
}

// Flow describes the messages of a direction.
type Flow struct {
	// MessagesPerSecond and BytesPerSecond are nil if there is only one sample.
	MessagesPerSecond *float64 `json:"messagesPerSecond,omitempty"`
	BytesPerSecond    *float64 `json:"bytesPerSecond,omitempty"`
	// Forwarded, Dropped and Resent are numbers of messages since the runner started.
	Forwarded int64 `json:"forwarded"`
	Dropped   int64 `json:"dropped"`
	Resent    int64 `json:"resent"`
	// Held and InFlight are numbers of messages in the memory of the runner.
	Held     int64 `json:"held"`
	InFlight int64 `json:"inFlight"`
	// BacklogMessages and BacklogBytes are in the buffer. BacklogSeconds is the age of the oldest one.
	BacklogMessages int64   `json:"backlogMessages"`
	BacklogBytes    int64   `json:"backlogBytes"`
	BacklogSeconds  float64 `json:"backlogSeconds"`
	// Blocked is true while an unforwardable message blocks the direction.
	Blocked bool `json:"blocked,omitempty"`
}

// Of returns the state of a bridge without the counters of its runner.
func Of(b *v1alpha1.MQTTBridge) Bridge {
	out := Bridge{
		Namespace: b.Namespace, Name: b.Name, Generation: b.Generation,
		Local: b.Status.Local, Remote: b.Status.Remote,
		Buffer: b.Status.Buffer, Unforwardable: b.Status.Unforwardable, Deletion: b.Status.Deletion,
		Runners: b.Status.Runners, LastTakeover: b.Status.LastTakeover, Conditions: b.Status.Conditions,
	}
	if runner := b.Status.ActiveRunner(); runner != nil {
		out.RunningGeneration = runner.Generation
	}
	out.judge(b)
	return out
}

// Count adds the counters of the runner. before is nil if there is only one sample.
func (b *Bridge) Count(before, now *cluster.Sample) {
	b.LocalToRemote, b.RemoteToLocal = flow(before, now, cluster.LocalToRemote), flow(before, now, cluster.RemoteToLocal)
	b.Unknown = ""
}

func flow(before, now *cluster.Sample, direction string) *Flow {
	c := now.Directions[direction]
	f := &Flow{
		Forwarded: int64(c.Forwarded), Dropped: int64(c.Dropped), Resent: int64(c.Resent),
		Held: int64(c.Held), InFlight: int64(c.InFlight),
		BacklogMessages: int64(c.Backlog), BacklogBytes: int64(c.BacklogBytes), BacklogSeconds: c.BacklogSeconds,
		Blocked: c.Blocked > 0,
	}
	if messages, size, ok := cluster.Rate(before, now, direction); ok {
		f.MessagesPerSecond, f.BytesPerSecond = &messages, &size
	}
	return f
}

// Sort sorts the bridges by trouble: by state, then the longest trouble first, then by name.
func (v *View) Sort() {
	slices.SortStableFunc(v.Bridges, compare)
}
