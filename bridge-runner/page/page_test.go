// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// server returns the status of a server.
func server(name string, state v1alpha1.ServerState, failure *v1alpha1.ServerError) v1alpha1.ServerStatus {
	return v1alpha1.ServerStatus{Name: name, URL: "mqtt://" + name, State: state, Since: metav1.NewTime(noon.Add(-time.Minute)), LastError: failure}
}

// sideOf returns the status of a side whose first active server is in use.
func sideOf(servers ...v1alpha1.ServerStatus) *v1alpha1.SideStatus {
	out := &v1alpha1.SideStatus{ClientID: "id", Servers: servers}
	for i := range servers {
		if servers[i].State == v1alpha1.ServerActive {
			out.Active = &v1alpha1.ActiveServer{Name: servers[i].Name, URL: servers[i].URL, Role: v1alpha1.RoleAt(i), Since: servers[i].Since}
		}
	}
	return out
}

// bridge returns a bridge whose remote side has these servers.
func bridge(name string, remote ...v1alpha1.ServerStatus) Bridge {
	s := &v1alpha1.MQTTBridgeStatus{
		Runners: []v1alpha1.RunnerStatus{{Role: v1alpha1.RunnerActive}},
		Local:   sideOf(server("broker", v1alpha1.ServerActive, nil)), Remote: sideOf(remote...),
	}
	s.Conditions = []metav1.Condition{v1alpha1.ReadyCondition(&s.Runners[0], s.Local, s.Remote)}
	return Bridge{Namespace: "plant", Name: name, Status: s}
}

func healthy(name string) Bridge { return bridge(name, server("cloud", v1alpha1.ServerActive, nil)) }

// get returns the answer of a page to a request.
func get(t *testing.T, source *Source, method, path string) (resp *http.Response, body string) {
	t.Helper()
	h := New(source)
	h.now = func() time.Time { return noon }
	return getFrom(t, h, method, path)
}

func getFrom(t *testing.T, h *Handler, method, path string) (resp *http.Response, body string) {
	t.Helper()
	mux := http.NewServeMux()
	h.Register(mux)
	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, httptest.NewRequest(method, path, http.NoBody))
	resp = recorder.Result()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp, string(data)
}

func one(b Bridge) *Source { return &Source{One: func() Bridge { return b }} }

func many(bridges ...Bridge) *Source {
	return &Source{
		Many: func() []Bridge { return bridges },
		Find: func(namespace, name string) (Bridge, bool) {
			for _, b := range bridges {
				if b.Namespace == namespace && b.Name == name {
					return b, true
				}
			}
			return Bridge{}, false
		},
	}
}

func TestPage_Paths_AreReadOnlyAndFew(t *testing.T) {
	for _, c := range []struct {
		source       *Source
		method, path string
		want         int
	}{
		{one(healthy("b")), "GET", "/", 200},
		{one(healthy("b")), "HEAD", "/", 200},
		{one(healthy("b")), "POST", "/", 405},
		{one(healthy("b")), "DELETE", "/page.js", 405},
		{one(healthy("b")), "GET", "/page.js", 200},
		{one(healthy("b")), "GET", "/page.css", 200},
		{one(healthy("b")), "GET", "/page.svg", 200},
		{one(healthy("b")), "GET", "/index.html", 404},
		{one(healthy("b")), "GET", "/assets/page.js", 404},
		{one(healthy("b")), "GET", "/bridges/plant/b", 404},
		{many(healthy("b")), "GET", "/", 200},
		{many(healthy("b")), "GET", "/bridges/plant/b", 200},
		{many(healthy("b")), "GET", "/bridges/plant/c", 404},
		{many(healthy("b")), "GET", "/bridges/plant", 404},
		{many(healthy("b")), "PUT", "/bridges/plant/b", 405},
		{many(), "GET", "/", 200},
	} {
		resp, _ := get(t, c.source, c.method, c.path) //nolint:bodyclose // get closes it
		if resp.StatusCode != c.want {
			t.Errorf("%s %s: %s, want %d", c.method, c.path, resp.Status, c.want)
		}
		if resp.StatusCode == http.StatusOK && (resp.Header.Get("Content-Security-Policy") != policy || resp.Header.Get("Set-Cookie") != "" ||
			resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Referrer-Policy") != "no-referrer") {
			t.Errorf("%s %s: the headers are %v", c.method, c.path, resp.Header)
		}
	}
}

func TestPage_LostPrimary_ShowsBackupFailureAndGap(t *testing.T) {
	b := bridge("to-cloud",
		server("one", v1alpha1.ServerFailed, &v1alpha1.ServerError{Reason: "ConnectionRefused", Message: "start the server"}),
		server("two", v1alpha1.ServerActive, nil))
	b.Switches = []report.Switch{{Side: "remote", FailoverRecord: v1alpha1.FailoverRecord{
		From: "one", To: "two", Reason: "ConnectionClosed", Time: metav1.NewMicroTime(noon.Add(-90 * time.Second)),
		DurationMilliseconds: ptr.To[int64](42), SilentMilliseconds: ptr.To[int64](0),
	}}}
	b.LocalToRemote = report.Traffic{Forwarded: 1234567, Dropped: 3, DiskBytes: 1 << 30, Backlog: delivery.Backlog{Messages: 5, Bytes: 2048, Oldest: noon.Add(-2 * time.Hour)}}
	_, body := get(t, one(b), "GET", "/") //nolint:bodyclose // get closes it
	for _, want := range []string{
		"<h1><bdi>plant/to-cloud</bdi></h1>",
		"Forwarding, with problems", "Remote side: one has failed: ConnectionRefused",
		"Connected to <strong><bdi>two</bdi></strong>, backup",
		"<strong>ConnectionRefused</strong>: <bdi>start the server</bdi>",
		`data-column="Gap">42 ms`, `data-column="Reason">ConnectionClosed`, "11:58:30 UTC", "(1 min ago)",
		`data-column="Forwarded">1,234,567`, `data-column="Limit on disk">1.0 GiB`, `data-column="Oldest">2 h`, `data-column="Size">2.0 KiB`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q:\n%s", want, body)
		}
	}
}

// A server or a file can have any text. The page shows it, and never executes it.
func TestPage_HostileTexts_AddNoElements(t *testing.T) {
	const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>` + "\u202e"
	b := bridge("b", server(hostile, v1alpha1.ServerFailed, &v1alpha1.ServerError{Reason: "ConnectRefused", Message: hostile}))
	b.Name, b.Namespace = hostile, hostile
	b.Status.Remote.ClientID = hostile
	b.Status.Remote.RequestedSwitch = &v1alpha1.RequestedSwitch{Server: hostile, State: v1alpha1.SwitchRefused, Message: hostile}
	b.Status.Remote.Shortfalls = []v1alpha1.Shortfall{{Reason: "QoSLowered", Message: hostile}}
	b.Status.Buffer = &v1alpha1.BufferStatus{LocalToRemote: &v1alpha1.BacklogStatus{State: v1alpha1.BacklogFailed, Message: hostile}}
	b.Switches = []report.Switch{{Side: "remote", FailoverRecord: v1alpha1.FailoverRecord{From: hostile, To: hostile}}}
	refusedFile := Bridge{File: hostile, Error: hostile}
	source := many(b, refusedFile)
	source.Group = func() Group { return Group{Problem: hostile, Others: []Runner{{Name: hostile, Problem: hostile}}} }
	h := New(source)
	mux := http.NewServeMux()
	h.Register(mux)
	detail := httptest.NewRequest(http.MethodGet, "/bridges/n/b", http.NoBody)
	find := source.Find
	source.Find = func(string, string) (Bridge, bool) { return find(hostile, hostile) }
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, "/?name=%22%3E%3Cscript%3E", http.NoBody), httptest.NewRequest(http.MethodGet, "/", http.NoBody), detail} {
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, r)
		body := recorder.Body.String()
		if strings.Count(body, "<script") != 1 || strings.Contains(body, "<img") {
			t.Errorf("%s has elements of a hostile text:\n%s", r.URL, body)
		}
	}
}

// Topics of messages may be secret, or personal data.
func TestPage_UnforwardableMessage_HidesTheTopic(t *testing.T) {
	b := healthy("b")
	b.Status.Unforwardable = &v1alpha1.UnforwardableStatus{LocalToRemote: &v1alpha1.UnforwardableMessage{
		Topic: "patients/4711", Reason: "Refused", Message: `the server refuses a message to "patients/4711"`, Time: metav1.NewMicroTime(noon),
	}}
	_, body := get(t, one(b), "GET", "/") //nolint:bodyclose // get closes it
	if strings.Contains(body, "4711") || !strings.Contains(body, "no server accepts, with the reason Refused") {
		t.Errorf("the page is %s", body)
	}
}

func TestList_Bridges_TroubleComesFirst(t *testing.T) {
	down := bridge("down", server("cloud", v1alpha1.ServerFailed, nil))
	onBackup := bridge("on-backup", server("one", v1alpha1.ServerFailed, nil), server("two", v1alpha1.ServerActive, nil))
	waiting := healthy("waiting")
	waiting.Status.Conditions = []metav1.Condition{v1alpha1.StandbyCondition(1)}
	blocked := healthy("blocked")
	blocked.RemoteToLocal.Blocked = true
	_, body := get(t, many(healthy("a"), waiting, onBackup, blocked, down, Bridge{File: "broken.yaml", Error: "spec.remote is required"}), "GET", "/") //nolint:bodyclose // get closes it
	before := -1
	for _, want := range []string{"broken.yaml", ">plant/down<", ">plant/blocked<", ">plant/on-backup<", ">plant/waiting<", ">plant/a<"} {
		at := strings.Index(body, want)
		if at <= before {
			t.Errorf("%s is not behind the bridge before:\n%s", want, body)
		}
		before = at
	}
	for _, want := range []string{
		"6 bridges: 2 not forwarding; 2 forwarding, with problems; 1 standby; 1 forwarding", "spec.remote is required",
		`href="bridges/plant/on-backup"`, "blocks the direction from remote to local",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the list does not have %q:\n%s", want, body)
		}
	}
}

func TestList_ManyBridges_IsLimitedAndFiltered(t *testing.T) {
	all := make([]Bridge, 0, 2*maxRows)
	for i := range 2 * maxRows {
		all = append(all, healthy(fmt.Sprintf("bridge-%04d", i)))
	}
	for path, want := range map[string]struct {
		rows int
		text string
	}{
		"/":                   {maxRows, "200 of 400 bridges shown."},
		"/?name=BRIDGE-0399":  {1, "1 of 400 bridges shown."},
		"/?name=plant/bridge": {maxRows, "200 of 400 bridges shown."},
		"/?name=none":         {0, "0 of 400 bridges shown."},
	} {
		_, body := get(t, many(all...), "GET", path) //nolint:bodyclose // get closes it
		if got := strings.Count(body, `<tr id="bridge/`); got != want.rows || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d rows, want %d, and %q", path, got, want.rows, want.text)
		}
	}
}

func TestGroup_Standby_NamesTheActiveRunner(t *testing.T) {
	b := healthy("b")
	b.Status.Conditions = []metav1.Condition{v1alpha1.StandbyCondition(1)}
	source := one(b)
	source.Group = func() Group {
		return Group{
			State: "Standby", Warm: true, Since: noon, Others: []Runner{{Name: "pod-2", State: "Active"}, {Name: "192.0.2.1:8091", Problem: "connection refused"}},
			Takeovers: []v1alpha1.TakeoverRecord{{From: "pod-3", Reason: "PeerEnded", Time: metav1.NewMicroTime(noon), GapMilliseconds: ptr.To[int64](210)}},
		}
	}
	_, body := get(t, source, "GET", "/") //nolint:bodyclose // get closes it
	for _, want := range []string{
		`<strong class="badge idle">Standby</strong>`, "Standby, warm", "<bdi>pod-2</bdi>", "<bdi>Active</bdi>", "not connected: connection refused",
		"PeerEnded", "210 ms",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q:\n%s", want, body)
		}
	}
}
