// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

func newState(t *testing.T) *State {
	t.Helper()
	return newStateWith(NewMetrics())
}

func newStateWith(metrics *Metrics) *State {
	b := (&v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "plant"}, Spec: v1alpha1.MQTTBridgeSpec{
		Local:  v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}},
		Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://p"}, Backups: []v1alpha1.Server{{URL: "mqtt://b"}}},
	}}).WithDefaults()
	b.Generation = 3
	return NewState(b, v1alpha1.RunnerStatus{Pod: "pod-1"}, metrics)
}

// changed reports whether the state has changed since the last call.
func changed(st *State) bool {
	select {
	case <-st.Changed():
		return true
	default:
		return false
	}
}

var (
	refused = &diagnosis.Problem{Reason: v1alpha1.ReasonConnectionRefused, Message: "refused"}
	closed  = &diagnosis.Problem{Reason: v1alpha1.ReasonConnectionClosed, Message: "closed"}
)

func TestStatus_ClientIDs_AreThoseInUse(t *testing.T) {
	b := (&v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "plant"}, Spec: v1alpha1.MQTTBridgeSpec{
		Local: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}, ClientID: "mine"}, Remote: v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://p"}},
	}}).WithDefaults()
	status := NewState(b, v1alpha1.RunnerStatus{Pod: "pod-1"}, NewMetrics()).Status()
	if status.Local.ClientID != "mine" || status.Remote.ClientID == "" || status.Remote.ClientID != b.Spec.Remote.ClientID {
		t.Errorf("the client identifiers are %q and %q", status.Local.ClientID, status.Remote.ClientID)
	}
}

func TestSide_LossAndConnectionToBackup_ReportedAsFailover(t *testing.T) {
	st := newState(t)
	start := time.Now()
	st.Remote.Connected(0, start)
	st.Remote.Lost(0, closed, 10*time.Second, start.Add(time.Second))
	if st.Status().Remote.Active != nil {
		t.Error("a server is active after it was lost")
	}
	st.Remote.Connected(1, start.Add(time.Second+20*time.Millisecond))

	got := st.Status().Remote
	if a := got.Active; a == nil || a.Name != "b" || a.Role != v1alpha1.RoleBackup || a.Place != 2 || a.URL != "mqtt://b" {
		t.Errorf("active: %+v", a)
	}
	if f := got.LastFailover; f == nil || f.From != "p" || f.To != "b" || f.Reason != closed.Reason || *f.DurationMilliseconds != 20 || *f.SilentMilliseconds != 10000 || *got.Switches != 1 {
		t.Errorf("failover: %+v", f)
	}
	if e := got.Servers[0]; e.State != v1alpha1.ServerFailed || e.LastError.Message != "closed" {
		t.Errorf("the primary: %+v", e)
	}
	if e := got.Servers[1]; e.State != v1alpha1.ServerActive || e.LastError != nil {
		t.Errorf("the backup: %+v", e)
	}
}

func TestSide_ReconnectionToSameServer_NoFailover(t *testing.T) {
	st := newState(t)
	now := time.Now()
	st.Remote.Connected(0, now)
	st.Remote.Lost(0, closed, 0, now)
	st.Remote.Connected(0, now)
	if got := st.Status().Remote; *got.Switches != 0 || got.LastFailover != nil {
		t.Errorf("%+v", got)
	}
}

func TestSide_Failback_OldServerIsStandby(t *testing.T) {
	st := newState(t)
	start := time.Now()
	st.Remote.Failed(0, refused, start)
	st.Remote.Connected(1, start)
	st.Remote.Probed(0, nil, start)
	st.Remote.Switched(0, connector.Switch{Reason: v1alpha1.ReasonFailedBack, Interruption: 7 * time.Millisecond, Drained: 5, Resent: 1}, start.Add(time.Minute))

	got := st.Status().Remote
	if a := got.Active; a == nil || a.Name != "p" || a.Role != v1alpha1.RolePrimary || a.Place != 1 {
		t.Errorf("active: %+v", a)
	}
	f := got.LastFailover
	if f.From != "b" || f.To != "p" || f.Reason != v1alpha1.ReasonFailedBack || *f.DurationMilliseconds != 7 || *f.Drained != 5 || *f.Resent != 1 || f.SilentMilliseconds != nil || *got.Switches != 1 {
		t.Errorf("failover: %+v", f)
	}
	if e := got.Servers[1]; e.State != v1alpha1.ServerStandby || e.LastError != nil || !e.Since.After(start) {
		t.Errorf("the backup: %+v", e)
	}
}

func TestSide_Probes_SignalOnlyChanges(t *testing.T) {
	st := newState(t)
	st.Remote.Connected(0, time.Now())
	changed(st)
	for i, c := range []struct {
		err   *diagnosis.Problem
		state v1alpha1.ServerState
		want  bool // whether the state changes
	}{
		{nil, v1alpha1.ServerStandby, false},
		{refused, v1alpha1.ServerFailed, true},
		{refused, v1alpha1.ServerFailed, false},
		{closed, v1alpha1.ServerFailed, true},
		{nil, v1alpha1.ServerStandby, true},
		{nil, v1alpha1.ServerStandby, false},
	} {
		st.Remote.Probed(1, c.err, time.Now())
		if got := changed(st); got != c.want {
			t.Errorf("probe %d changes the state: %t, want %t", i, got, c.want)
		}
		if e := st.Status().Remote.Servers[1]; e.State != c.state || (e.LastError == nil) != (c.err == nil) {
			t.Errorf("after probe %d: %+v", i, e)
		}
	}
}

func TestShortfalls_ActiveServerChanges_ChangeWithIt(t *testing.T) {
	st := newState(t)
	changed(st)
	lowered := diagnosis.Problem{Reason: v1alpha1.ReasonQoSLowered, Message: strings.Repeat("x", 1000)}
	st.Remote.ShortfallsFound(0, []diagnosis.Problem{lowered})
	if changed(st) || st.Status().Remote.Shortfalls != nil {
		t.Error("a shortfall is reported before the server is active")
	}
	st.Remote.Connected(0, time.Now())
	if got := st.Status().Remote.Shortfalls; len(got) != 1 || got[0].Reason != lowered.Reason || len(got[0].Message) > maxMessage {
		t.Errorf("shortfalls: %+v", got)
	}
	st.Remote.ShortfallsFound(1, nil)
	st.Remote.Switched(1, connector.Switch{Reason: v1alpha1.ReasonSwitchRequested}, time.Now())
	if got := st.Status().Remote.Shortfalls; got != nil {
		t.Errorf("shortfalls of another server: %+v", got)
	}
	st.Remote.ShortfallsFound(0, []diagnosis.Problem{lowered})
	st.Remote.Switched(0, connector.Switch{Reason: v1alpha1.ReasonSwitchRequested}, time.Now())
	st.Remote.Lost(0, closed, 0, time.Now())
	if got := st.Status().Remote.Shortfalls; got != nil {
		t.Errorf("shortfalls without a server: %+v", got)
	}
	st.Remote.ShortfallsFound(0, nil) // the server has no shortfalls now
	st.Remote.Connected(0, time.Now())
	if got := st.Status().Remote.Shortfalls; got != nil {
		t.Errorf("shortfalls that are gone: %+v", got)
	}
}

func TestRequested_LongMessage_TruncatedToLimitOfSchema(t *testing.T) {
	st := newState(t)
	st.Remote.Requested(&v1alpha1.RequestedSwitch{Server: "b", State: v1alpha1.SwitchRefused, Message: strings.Repeat("y", 1000)})
	if r := st.Status().Remote.RequestedSwitch; r.Server != "b" || len(r.Message) > maxMessage || r.State != v1alpha1.SwitchRefused {
		t.Errorf("%+v", r)
	}
	st.Remote.Requested(nil)
	if r := st.Status().Remote.RequestedSwitch; r != nil {
		t.Errorf("%+v", r)
	}
}

func TestFailed_SameFailureAgain_NoChange(t *testing.T) {
	st := newState(t)
	if !changed(st) {
		t.Error("the start of the runner is not reported as a change")
	}
	st.Remote.Failed(0, refused, time.Now())
	if !changed(st) {
		t.Error("the first failure is not reported as a change")
	}
	before := st.Status().Remote.Servers[0]
	st.Remote.Failed(0, refused, time.Now().Add(time.Hour))
	if changed(st) {
		t.Error("the same failure is reported as a change")
	}
	if after := st.Status().Remote.Servers[0]; !after.Since.Equal(&before.Since) {
		t.Error("since has changed")
	}
	st.Remote.Failed(0, closed, time.Now())
	if !changed(st) {
		t.Error("another failure is not reported as a change")
	}
}

func TestFailed_LongMessage_TruncatedToLimitOfSchema(t *testing.T) {
	st := newState(t)
	st.Remote.Failed(0, &diagnosis.Problem{Reason: "X", Message: strings.Repeat("é", 600)}, time.Now())
	if m := st.Status().Remote.Servers[0].LastError.Message; len(m) > maxMessage || !strings.HasSuffix(m, "é...") {
		t.Errorf("%d bytes, ending with %q", len(m), m[len(m)-5:])
	}
}

// apiServer answers patches of the status, and records the reports and the times at which they
// arrive. It replaces only the network: the tests of package controllers check how a real API
// server handles a report.
type apiServer struct {
	code atomic.Int32
	mu   sync.Mutex
	at   []time.Time
	last v1alpha1.MQTTBridgeStatus
	// checks is the number of patches that change nothing.
	checks int
	// refuses refuses a report. The empty patches succeed.
	refuses func(*v1alpha1.MQTTBridgeStatus) bool
	// foreign adds the fields of another client to each report, as server-side apply does.
	foreign func(*v1alpha1.MQTTBridgeStatus)
	// uid is the UID of the bridge.
	uid string
}

func newAPIServer(code int32) *apiServer {
	a := &apiServer{foreign: func(*v1alpha1.MQTTBridgeStatus) {}}
	a.code.Store(code)
	return a
}

func (a *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
		Status *v1alpha1.MQTTBridgeStatus `json:"status"`
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	code := int(a.code.Load())
	switch contentType := r.Header.Get("Content-Type"); {
	case contentType == "application/merge-patch+json" && body.Status == nil:
		a.checks++
	case contentType == "application/apply-patch+yaml" && body.Status != nil:
		a.at = append(a.at, time.Now())
		if a.refuses != nil && a.refuses(body.Status) || body.Metadata.UID != "" && body.Metadata.UID != a.uid {
			code = http.StatusUnprocessableEntity
		}
		if code == http.StatusOK {
			a.last = *body.Status
			a.foreign(&a.last)
		}
	case contentType == "application/merge-patch+json":
		a.foreign = func(*v1alpha1.MQTTBridgeStatus) {}
		if a.last, err = merged(a.last, raw); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a patch of type %s with the status %+v", contentType, body.Status)
	}
	answer, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": a.uid}, "status": a.last})
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Body: io.NopCloser(bytes.NewReader(answer))}, err
}

// merged returns a status after a merge patch of the bridge.
func merged(status v1alpha1.MQTTBridgeStatus, patch []byte) (out v1alpha1.MQTTBridgeStatus, err error) {
	before, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return out, err
	}
	after, err := jsonpatch.MergePatch(before, patch)
	if err != nil {
		return out, err
	}
	bridge := struct {
		Status *v1alpha1.MQTTBridgeStatus `json:"status"`
	}{&out}
	return out, json.Unmarshal(after, &bridge)
}

// change changes the stored status, as another client does.
func (a *apiServer) change(change func(*v1alpha1.MQTTBridgeStatus)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.last)
}

// status waits until all goroutines are blocked, and returns the stored status.
func (a *apiServer) status() v1alpha1.MQTTBridgeStatus {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// reports waits until all goroutines are blocked, and returns the times of the reports.
func (a *apiServer) reports() []time.Time {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.at)
}

// reporting starts a reporter in a bubble of fake time.
func reporting(t *testing.T, api *apiServer) (*State, context.CancelFunc) {
	t.Helper()
	return reportingWith(t, api, nil)
}

// reportingWith starts a reporter of a member of a group.
func reportingWith(t *testing.T, api *apiServer, laterTerm func(int64)) (*State, context.CancelFunc) {
	t.Helper()
	st := newState(t)
	k := &Kubernetes{client: &http.Client{Transport: api}, url: "https://api/status", name: "b", ns: "plant", log: slog.New(slog.DiscardHandler), LaterTerm: laterTerm}
	ctx, stop := context.WithCancel(t.Context())
	go k.Run(ctx, st)
	return st, func() {
		stop()
		synctest.Wait()
	}
}

func TestKubernetes_Failover_ReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		st, stop := reporting(t, api)
		defer stop()
		st.Remote.Connected(0, time.Now())
		time.Sleep(time.Minute)
		before := len(api.reports())
		st.Remote.Lost(0, closed, 0, time.Now())
		time.Sleep(200 * time.Millisecond) // a slow handshake
		switched := time.Now()
		st.Remote.Connected(1, switched)
		at := api.reports()[before:]
		if len(at) != 2 || !at[1].Equal(switched) {
			t.Errorf("reports at %v, want one for the loss and one at %v", at, switched)
		}
	})
}

func TestKubernetes_FlappingServer_ReportedAtMostOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		st, stop := reporting(t, api)
		defer stop()
		for range 100 { // ten seconds
			st.Remote.Connected(0, time.Now())
			st.Remote.Lost(0, closed, 0, time.Now())
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute) // without changes
		// A report is left out if the state happens to be the reported one at its time.
		if n := len(api.reports()); n < 5 || n > 10+1+reportBurst {
			t.Errorf("%d reports, want at most one a second while something changed, and none after", n)
		}
	})
}

func TestKubernetes_FailedReport_Repeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusServiceUnavailable)
		_, stop := reporting(t, api)
		defer stop()
		time.Sleep(time.Minute)
		if n := len(api.reports()); n < 3 || n > 10 {
			t.Errorf("%d attempts in a minute", n)
		}
		api.code.Store(http.StatusOK)
		time.Sleep(retryMax)
		before := len(api.reports())
		time.Sleep(time.Hour)
		if len(api.reports()) != before {
			t.Error("the state is reported again although nothing has changed")
		}
	})
}

func TestKubernetes_ReportChangedByAnotherClient_IsRepeatedWithinMinutes(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.MQTTBridgeStatus){
		"replaced": func(s *v1alpha1.MQTTBridgeStatus) {
			s.Runners = []v1alpha1.RunnerStatus{{Pod: "an-earlier-pod", Role: v1alpha1.RunnerActive}}
		},
		"cleared":  func(s *v1alpha1.MQTTBridgeStatus) { *s = v1alpha1.MQTTBridgeStatus{} },
		"one side": func(s *v1alpha1.MQTTBridgeStatus) { s.Remote.Active = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newAPIServer(http.StatusOK)
				st, stop := reporting(t, api)
				defer stop()
				st.Remote.Connected(0, time.Now())
				time.Sleep(time.Minute)
				reported := api.status()
				if got := reported.ActiveRunner(); got == nil || got.Pod != "pod-1" || got.Generation != 3 || got.ReportTime.IsZero() {
					t.Fatalf("reported: %+v", got)
				}
				api.change(change)
				time.Sleep(2 * checkInterval)
				if got := api.status(); got.ActiveRunner() == nil || got.ActiveRunner().Pod != "pod-1" || got.Remote == nil || got.Remote.Active == nil {
					t.Errorf("the report was not repeated: %+v", got)
				}
			})
		})
	}
}

func TestKubernetes_BridgeCreatedAgain_GetsNoReportOfTheRunnerOfTheDeletedBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		api.uid = "first"
		st, stop := reporting(t, api)
		defer stop()
		st.Remote.Connected(0, time.Now())
		time.Sleep(time.Minute)
		if len(api.status().Runners) == 0 {
			t.Fatal("no report")
		}
		api.change(func(s *v1alpha1.MQTTBridgeStatus) { *s, api.uid = v1alpha1.MQTTBridgeStatus{}, "second" })
		time.Sleep(10 * time.Minute) // until it has checked whether its report is there
		st.Remote.Lost(0, closed, 0, time.Now())
		st.Remote.Connected(1, time.Now())
		time.Sleep(time.Minute)
		if got := api.status(); len(got.Runners) > 0 || got.Remote != nil {
			t.Errorf("the new bridge has the report %+v", got)
		}
	})
}

func TestKubernetes_FieldsOfAnotherClient_AreRemoved(t *testing.T) {
	foreign := func(s *v1alpha1.MQTTBridgeStatus) {
		if s.Local.Active == nil {
			s.Local.Active = &v1alpha1.ActiveServer{Name: "l"}
		}
		s.Runners[0].StopTime = metav1.Now()
		s.Buffer = &v1alpha1.BufferStatus{LocalToRemote: &v1alpha1.BacklogStatus{}}
	}
	for name, from := range map[string]time.Duration{"before the first report": 0, "later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newAPIServer(http.StatusOK)
				if from == 0 {
					api.foreign = foreign
				}
				st, stop := reporting(t, api)
				defer stop()
				st.Remote.Connected(0, time.Now())
				time.Sleep(time.Minute)
				if from > 0 {
					api.change(foreign)
					api.change(func(*v1alpha1.MQTTBridgeStatus) { api.foreign = foreign })
					time.Sleep(2 * checkInterval)
				}
				got := api.status()
				if got.Local == nil || got.Local.Active != nil || !got.Runners[0].StopTime.IsZero() || got.Buffer != nil || got.Remote.Active == nil {
					t.Errorf("the status has the fields of another client, or lacks those of the runner: %+v, %+v", got, got.Runners[0])
				}
				before := len(api.reports())
				time.Sleep(time.Hour)
				if after := len(api.reports()); after != before {
					t.Errorf("%d reports of an unchanged state", after-before)
				}
			})
		})
	}
}

func TestKubernetes_StateUnchanged_ChecksWithoutReporting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		st, stop := reporting(t, api)
		defer stop()
		st.Remote.Connected(0, time.Now())
		time.Sleep(time.Minute)
		before := len(api.reports())
		api.change(func(s *v1alpha1.MQTTBridgeStatus) { // the operator's part
			s.Conditions, s.Runners[0].Image = nil, "mirror.example/runner:v1"
		})
		time.Sleep(time.Hour)
		st.signalChange() // a change that is over before it is reported
		if after := len(api.reports()); after != before {
			t.Errorf("%d reports of an unchanged state", after-before)
		}
		if api.checks < 9 || api.checks > 15 {
			t.Errorf("%d checks in an hour, want one in about 5 minutes", api.checks)
		}
	})
}

func TestKubernetes_RunnerStops_ReportsItBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(http.StatusOK)
		st := newState(t)
		k := &Kubernetes{client: &http.Client{Transport: api}, url: "https://api/status", name: "b", ns: "plant", log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		go k.Run(ctx, st)
		st.Local.Connected(0, time.Now())
		st.Remote.Connected(0, time.Now())
		time.Sleep(time.Minute)
		if got := api.status(); got.Conditions[0].Status != metav1.ConditionTrue {
			t.Fatalf("before: %+v", got.Conditions)
		}
		st.Stopping()
		if got := api.status(); got.Conditions[0].Status != metav1.ConditionFalse || got.Conditions[0].Reason != v1alpha1.ReasonRunnerNotRunning || got.Remote.Active == nil {
			t.Errorf("while it drains: %+v, remote %+v", got.Conditions, got.Remote)
		}
		stop()
		synctest.Wait()
		st.Stopped()
		k.Last(st)
		if got := api.status(); got.Runners[0].StopTime.IsZero() || got.Local.Active != nil || got.Remote.Active != nil || got.Remote.Servers[0].State != v1alpha1.ServerStandby {
			t.Errorf("at its end: %+v, remote %+v", got.Runners[0], got.Remote)
		}
	})
}

func TestState_ManifestOfAnotherGeneration_IsReported(t *testing.T) {
	st := newState(t)
	changed(st)
	st.SetGeneration(3)
	if changed(st) {
		t.Error("the same generation is reported as a change")
	}
	st.SetGeneration(4)
	if got := st.Status(); !changed(st) || got.Runners[0].Generation != 4 || got.Conditions[0].ObservedGeneration != 4 {
		t.Errorf("reported: %+v, %+v", got.Runners[0], got.Conditions)
	}
}

func TestServerUp_SessionsAndProbes_SetTheGauge(t *testing.T) {
	metrics := NewMetrics()
	st := newStateWith(metrics)
	value := func(server string) string {
		families, err := registryOf(metrics).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == "mqttbridge_server_up" && m.GetLabel()[0].GetValue() == server && m.GetLabel()[1].GetValue() == "remote" {
					return fmt.Sprint(m.GetGauge().GetValue())
				}
			}
		}
		return "absent"
	}
	first, second := st.Remote.status.Servers[0].Name, st.Remote.status.Servers[1].Name
	for _, step := range []struct {
		what          string
		do            func()
		first, second string
	}{
		{"before the first attempt", func() {}, "absent", "absent"},
		{"a failed attempt", func() { st.Remote.Failed(0, refused, time.Now()) }, "0", "absent"},
		{"a connection", func() { st.Remote.Connected(1, time.Now()) }, "0", "1"},
		{"a passed probe", func() { st.Remote.Probed(0, nil, time.Now()) }, "1", "1"},
		{"a failed probe", func() { st.Remote.Probed(0, closed, time.Now()) }, "0", "1"},
		{"a loss", func() { st.Remote.Lost(1, closed, 0, time.Now()) }, "0", "0"},
		{"the next server", func() { st.Remote.Connected(0, time.Now()) }, "1", "0"},
	} {
		step.do()
		if a, b := value(first), value(second); a != step.first || b != step.second {
			t.Errorf("after %s: %s and %s, want %s and %s", step.what, a, b, step.first, step.second)
		}
	}
}

func TestHandler_Stopping_NotReadyButLive(t *testing.T) {
	var alive, ready error
	h := (&Endpoints{
		Metrics: NewRegistry(),
		Page:    func(*http.ServeMux) {},
		Status:  func() any { return newState(t).Status() },
		Alive:   func() error { return alive },
		Ready:   func() error { return ready },
	}).Handler()
	get := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return w.Code
	}
	for _, path := range []string{"/livez", "/readyz", "/status", "/metrics"} {
		if code := get(path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	ready = errors.New("stopping")
	if code := get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz while stopping: %d", code)
	}
	if code := get("/livez"); code != http.StatusOK {
		t.Errorf("/livez while stopping: %d", code)
	}
	alive = errors.New("stuck")
	if code := get("/livez"); code != http.StatusServiceUnavailable {
		t.Errorf("/livez without progress: %d", code)
	}
}
