// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package page tests the page of the runner in Chromium, with the real program between real brokers.
// Each tab that a test opens fails the test if the page requests anything from another host, breaks its
// Content-Security-Policy, or reports an error.
//
// With -screenshot, the tests write docs/images/runner-page.png. This is a module of its own, so that
// the library that controls the browser is no dependency of the programs.
package page

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var screenshot = flag.Bool("screenshot", false, "write docs/images/runner-page.png")

const (
	// patience is the timeout for events that take milliseconds on an idle machine, or one or two
	// intervals of the page.
	patience = time.Minute
	// otherSite is a name that the browser resolves to this machine, as the name of an attacker's site.
	otherSite = "attacker.example"
)

// browser is the context of the browser, in which tests open tabs.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	defer mqtttest.RemoveRunnerBinary()
	program, err := findBrowser()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(profile) }()
	allocator, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoSandbox, // Chromium refuses to run as root with it
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), // /dev/shm of containers is small
		chromedp.Flag("hide-scrollbars", true),
		// The browser reaches no other host.
		chromedp.Flag("host-resolver-rules", "MAP "+otherSite+" 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	)
	defer end()
	var closeBrowser context.CancelFunc
	browser, closeBrowser = chromedp.NewContext(allocator)
	defer closeBrowser()
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "starting", program+":", err)
		return 1
	}
	return m.Run()
}

// findBrowser returns the path of Chromium.
func findBrowser() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the tests of the page need Chromium: install it (Debian: go -C hack/cluster run . packages)")
}

// manifest returns a bridge that forwards site/# from the local server to the remote servers, which
// have these names and URLs in turn.
func manifest(name, local string, remotes ...string) *v1alpha1.MQTTBridge {
	b := &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "plant"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{Name: "plant-broker", URL: local}},
			Remote:        v1alpha1.Side{Primary: v1alpha1.Server{Name: remotes[0], URL: remotes[1]}},
			LocalToRemote: []v1alpha1.Rule{{Filter: "site/#", QoS: ptr.To[int32](1)}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: "commands/#", QoS: ptr.To[int32](1)}},
		},
	}
	for i := 2; i < len(remotes); i += 2 {
		b.Spec.Remote.Backups = append(b.Spec.Remote.Backups, v1alpha1.Server{Name: remotes[i], URL: remotes[i+1]})
	}
	return b
}
