// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The runner has no login. A page of another site, in a browser that reaches the runner, must not learn
// its state.
func TestPage_OtherSites_ReadNothing(t *testing.T) {
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	runner := mqtttest.StartRunner(t, manifest("to-cloud", local.URL(), "cloud", remote.URL()))
	runner.WaitActive("cloud", patience)
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<!DOCTYPE html><link rel="icon" href="data:,"><iframe src=%q></iframe>`, runner.URL("/"))
	}))
	defer attacker.Close()

	tb := openTab(t, attacker.URL)
	tb.navigate(attacker.URL)
	for _, path := range []string{"/", "/status", "/metrics"} {
		var result string
		tb.await(fmt.Sprintf(`fetch(%q).then((answer) => answer.text(), () => "refused")`, runner.URL(path)), &result)
		if result != "refused" {
			t.Errorf("another site reads %s: %.200s", path, result)
		}
	}
	if faults := strings.Join(tb.takeFaults(), "\n"); !strings.Contains(faults, "frame-ancestors") {
		t.Errorf("the browser shows the page in a frame: %s", faults)
	}

	// The attacker's name resolves to the address of this machine, so that the runner would be the same
	// origin as the attacker's page (DNS rebinding).
	rebound := openTab(t, "")
	for _, path := range []string{"/", "/status", "/metrics", "/page.js"} {
		rebound.navigate(strings.Replace(runner.URL(path), "127.0.0.1", otherSite, 1))
		if shown := rebound.text(); !strings.Contains(shown, otherSite) || !strings.Contains(shown, "use localhost or an IP address") {
			t.Errorf("%s for the host %s: %.200s", path, otherSite, shown)
		}
	}
}

// A proxy with a login may serve several runners below paths of one site.
func TestPage_BelowAPathOfAProxy_Works(t *testing.T) {
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	host := mqtttest.StartHost(t, manifest("to-cloud", local.URL(), "cloud", remote.URL()))
	host.WaitConnected("to-cloud.yaml", patience)
	target, err := url.Parse(host.URL("/"))
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "/runners/plant"
	proxy := httptest.NewServer(http.StripPrefix(prefix, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}))
	defer proxy.Close()
	tb := openTab(t, proxy.URL+prefix+"/")
	tb.navigate(proxy.URL + prefix + "/")
	tb.waitText("1 bridge: 1 forwarding")
	tb.click("a[href$='to-cloud']")
	tb.waitText("Connected to cloud")
	waitRequests(tb, 2)
	var style string
	tb.evaluate("getComputedStyle(document.querySelector('.badge')).display", &style)
	if style != "inline-block" {
		t.Errorf("the page has no style sheet: display is %q", style)
	}
	tb.click("nav a")
	tb.waitText("1 bridge: 1 forwarding")
	for _, fault := range tb.takeFaults() {
		t.Error(fault)
	}
}
