// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Pair are two runners with --peer that serve the same bridges. The first one is preferred.
type Pair struct {
	t testing.TB
	// Runners are the two processes. They need not run.
	Runners [2]*Runner
	// Links are in front of the ports for the other machine: the runner i dials Links[i].
	Links [2]*Proxy
}

// Member is the status of a member of a pair.
type Member struct {
	State string
	Warm  bool
	Peer  struct {
		Connected bool
		State     string
		Warm      bool
	}
}

// MemberActive and MemberStandby are states of members.
const (
	MemberActive  = "Active"
	MemberStandby = "Standby"
)

// NewPair returns two runners of a bridge, which do not run yet. With linked, the connection between
// them passes proxies, which can cut it. Then the end of a process proves nothing, because its proxy
// still accepts connections.
func NewPair(t testing.TB, bridge *v1alpha1.MQTTBridge, linked bool, args ...string) *Pair {
	t.Helper()
	p := &Pair{t: t}
	for i := range p.Runners {
		p.Runners[i] = NewRunner(t, bridge)
	}
	p.connect(linked, args...)
	return p
}

// NewHostPair is like NewPair, for runners of many bridges.
func NewHostPair(t testing.TB, bridges []*v1alpha1.MQTTBridge, args ...string) *Pair {
	t.Helper()
	p := &Pair{t: t}
	for i := range p.Runners {
		h := NewHost(t)
		for _, b := range bridges {
			h.Put(b)
		}
		p.Runners[i] = h.Runner
	}
	p.connect(false, args...)
	return p
}

// connect sets the arguments of both runners.
func (p *Pair) connect(linked bool, args ...string) {
	p.t.Helper()
	var ports, dials [2]string
	for i, r := range p.Runners {
		dir := filepath.Join(r.dir, "peer")
		if out, err := exec.Command(RunnerBinary(p.t), "peer-key", dir).CombinedOutput(); err != nil {
			p.t.Fatalf("peer-key: %v: %s", err, out)
		}
		ports[i] = address(FreePort(p.t))
		dials[1-i] = ports[i]
	}
	for i, r := range p.Runners {
		if linked {
			p.Links[i] = StartProxy(p.t, dials[i], 0)
			dials[i] = p.Links[i].listener.Addr().String()
		}
		r.name += fmt.Sprint("-", i)
		r.args = append([]string{
			"--peer", dials[i], "--peer-listen", ports[i],
			"--peer-key", filepath.Join(r.dir, "peer", "peer.key"),
			"--peer-trusted", filepath.Join(p.Runners[1-i].dir, "peer", "peer.pub"),
		}, args...)
		if i == 0 {
			r.args = append(r.args, "--peer-preferred")
		}
	}
}

// Start starts both runners, and waits until the first one is active and the second one is its
// standby, which is warm.
func (p *Pair) Start() {
	p.t.Helper()
	for _, r := range p.Runners {
		r.Start()
	}
	p.WaitRoles(0)
}

// WaitRoles waits until a runner is active and the other one is its warm standby.
func (p *Pair) WaitRoles(active int) {
	p.t.Helper()
	p.Runners[active].WaitMember(func(m Member) bool { return m.State == MemberActive && m.Peer.State == MemberStandby && m.Peer.Warm })
	p.Runners[1-active].WaitMember(func(m Member) bool { return m.State == MemberStandby && m.Warm && m.Peer.State == MemberActive })
}

// Update replaces the manifests of both runners, as [Runner.Update] does.
func (p *Pair) Update(bridge *v1alpha1.MQTTBridge) {
	p.t.Helper()
	bridge.Generation++
	for _, r := range p.Runners {
		r.replaceManifest(bridge)
	}
}

// memberTimeout is the timeout for changes of roles, which take milliseconds on an idle machine.
const memberTimeout = 30 * time.Second

// WaitMember waits until ok returns true for the status of a member.
func (r *Runner) WaitMember(ok func(Member) bool) {
	r.t.Helper()
	Eventually(r.t, memberTimeout, r.name+" has the expected role", func() error {
		m, err := r.Member()
		if err == nil && !ok(m) {
			err = fmt.Errorf("%+v", m)
		}
		return err
	})
}

// Member reads /member.
func (r *Runner) Member() (m Member, err error) {
	body, err := r.get("/member")
	if err != nil {
		return m, err
	}
	err = json.Unmarshal(body, &m)
	return m, err
}

// HandOver requests a hand-over with SIGUSR1.
func (r *Runner) HandOver() {
	r.t.Helper()
	r.process.signal(syscall.SIGUSR1)
}

// TakeOver makes the runner active with SIGUSR2.
func (r *Runner) TakeOver() {
	r.t.Helper()
	r.process.signal(syscall.SIGUSR2)
}
