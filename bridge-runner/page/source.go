// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// Source returns the state of a process. Its functions are called for each request, from any goroutine.
type Source struct {
	// One returns the bridge of a process that runs one bridge. It is nil if the process runs many.
	One func() Bridge
	// Many returns the bridges of a process that runs many bridges, and Find returns one of them, and
	// false if there is no such bridge. They are nil if the process runs one bridge.
	Many func() []Bridge
	Find func(namespace, name string) (Bridge, bool)
	// Group returns the state of the group. It is nil if the process is no member of a group.
	Group func() Group
}

// Bridge is the state of one bridge.
type Bridge struct {
	Namespace, Name string
	// File is the file of the manifest, in a process with many bridges. Namespace and Name are empty and
	// Status is nil if the file has had no valid content.
	File string
	// Error is why the present content of the file is not applied. It is empty if it is.
	Error  string
	Status *v1alpha1.MQTTBridgeStatus
	// LocalToRemote and RemoteToLocal are the counts of the directions.
	LocalToRemote, RemoteToLocal report.Traffic
	// Switches are the last switches of both sides, the latest first.
	Switches []report.Switch
}

// Group is the state of a group of runners, as this process knows it.
type Group struct {
	// State is the state of this process, such as Active or Standby, and Since is when it reached it.
	State string
	Since time.Time
	// Warm is true if a standby can start its bridges at once.
	Warm bool
	// Problem is a fault of the settings of the runners. It is empty if there is none.
	Problem string
	// Others are the other runners.
	Others []Runner
	// Takeovers are the last changes of the active runner to this one, the latest first.
	Takeovers []v1alpha1.TakeoverRecord
}

// Runner is another runner of the group.
type Runner struct {
	// Name is the pod, or the address.
	Name string
	// State is empty if the runner is not connected. Problem is then why, if it is known.
	State, Problem string
	Warm           bool
}

// key identifies a bridge in a process.
func (b *Bridge) key() string { return b.Namespace + "/" + b.Name }
