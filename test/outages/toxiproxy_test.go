// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// toxiproxy is a toxiproxy server, which tests control by HTTP.
type toxiproxy struct{ api string }

// startToxiproxy starts a toxiproxy that ends with the test.
func startToxiproxy(t testing.TB) *toxiproxy {
	t.Helper()
	port := strconv.Itoa(mqtttest.FreePort(t))
	mqtttest.StartProgram(t, "toxiproxy", "env", "LOG_LEVEL=error", os.Getenv(toxiproxyEnv), "-host", "127.0.0.1", "-port", port)
	p := &toxiproxy{api: "http://" + net.JoinHostPort("127.0.0.1", port)}
	mqtttest.Eventually(t, eventTimeout, "toxiproxy answers", func() error {
		return p.do(http.MethodGet, "/version", nil)
	})
	return p
}

// httpClient has a timeout above the proxy's own timeout of 5 seconds, because a busy machine
// answers later.
var httpClient = &http.Client{Timeout: 15 * time.Second}

func (p *toxiproxy) do(method, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, p.api+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("toxiproxy: %s %s: %s: %s", method, path, response.Status, answer)
	}
	return nil
}

// link is a proxy in front of a server.
type link struct {
	t    testing.TB
	on   *toxiproxy
	name string
	port int
}

// link starts a proxy to host:port.
func (p *toxiproxy) link(t testing.TB, target string) *link {
	t.Helper()
	l := &link{t: t, on: p, port: mqtttest.FreePort(t)}
	l.name = strconv.Itoa(l.port)
	listen := l.address()
	if isolated() {
		listen = ":" + l.name // all addresses are loopback
	}
	must(t, p.do(http.MethodPost, "/proxies", map[string]any{"name": l.name, "listen": listen, "upstream": target, "enabled": true}))
	return l
}

func (l *link) address() string { return net.JoinHostPort("127.0.0.1", l.name) }

// host returns an address that only this proxy has.
func (l *link) host() string { return net.IPv4(127, 1, byte(l.port>>8), byte(l.port)).String() }

// enable lets the proxy listen, or ends its connections and refuses new ones.
func (l *link) enable(on bool) {
	l.t.Helper()
	must(l.t, l.on.do(http.MethodPost, "/proxies/"+l.name, map[string]any{"enabled": on}))
}

// Toxics, and the directions on which they act.
const (
	timeoutToxic   = "timeout"    // forwards nothing
	bandwidthToxic = "bandwidth"  // reads nothing if the rate is 0
	resetToxic     = "reset_peer" // ends with RST when data passes
	upstream       = "upstream"   // to the server
	downstream     = "downstream" // from the server
)

// poison adds a toxic whose attribute is 0.
func (l *link) poison(toxic, attribute, stream string) {
	l.t.Helper()
	must(l.t, l.on.do(http.MethodPost, "/proxies/"+l.name+"/toxics", map[string]any{
		"name": toxic, "type": toxic, "stream": stream, "attributes": map[string]int{attribute: 0},
	}))
}

// cure removes a toxic.
func (l *link) cure(toxic string) {
	l.t.Helper()
	must(l.t, l.on.do(http.MethodDelete, "/proxies/"+l.name+"/toxics/"+toxic, nil))
}
