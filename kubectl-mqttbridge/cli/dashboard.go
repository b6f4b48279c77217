// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// activeInterval is the time between two checks whether another runner has become active.
const activeInterval = 5 * time.Second

// dashboardCommand is the command dashboard.
type dashboardCommand struct {
	*program
	port uint16
	open bool
	// shown is whether the URL has been printed.
	shown bool
}

func (p *program) dashboardCommand() *cobra.Command {
	d := &dashboardCommand{program: p}
	cmd := &cobra.Command{
		Use:   "dashboard NAME",
		Short: "Open the page of the active runner of a bridge",
		Long: `Open the page of the active runner of a bridge in a browser. The command forwards a port of this machine
to the pod until you end it, and follows a change of the active runner. It needs the right to create
pods/portforward.`,
		Args:              between(1, 1, "the NAME of a bridge"),
		ValidArgsFunction: p.completeBridges(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().Uint16Var(&d.port, "port", 0, "the port of this machine; 0 for any free port")
	cmd.Flags().BoolVar(&d.open, "open", true, "open the page in a browser, if the output is a terminal; otherwise only print its URL")
	return cmd
}

func (d *dashboardCommand) run(ctx context.Context, bridge string) error {
	client, namespace, err := d.connect()
	if err == nil {
		err = d.checkPort()
	}
	if err != nil {
		return err
	}
	for {
		b, err := client.Get(ctx, namespace, bridge)
		if err == nil {
			err = d.forward(ctx, client, b)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var right *cluster.MissingRight
		if err != nil && (!d.shown || errors.As(err, &right)) {
			return err
		}
		d.print("the connection has ended; connecting to the active runner again")
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// forward forwards the port to the active runner, until the connection ends or another runner is
// active.
func (d *dashboardCommand) forward(ctx context.Context, client *cluster.Client, b *v1alpha1.MQTTBridge) error {
	pod, err := cluster.ActivePod(b)
	if err != nil {
		return fmt.Errorf("%s/%s: %w; `%s status %s -n %s` shows the reason", b.Namespace, b.Name, err, name, b.Name, b.Namespace)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for sleep(ctx, activeInterval) == nil {
			now, err := client.Get(ctx, b.Namespace, b.Name)
			if err != nil {
				continue
			}
			if active, err := cluster.ActivePod(now); err == nil && active != pod {
				cancel()
			}
		}
	}()
	return client.Forward(ctx, b.Namespace, pod, d.port, cluster.Port(b), func(local uint16) { d.show(ctx, b, pod, local) })
}

// checkPort returns an error if another program uses the port. The library that forwards it reports no cause.
func (d *dashboardCommand) checkPort() error {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", d.port))
	if err != nil {
		return fmt.Errorf("%w; choose another port by --port, or omit it for any free port", err)
	}
	return l.Close()
}

// show prints the URL and opens the page, the first time.
func (d *dashboardCommand) show(ctx context.Context, b *v1alpha1.MQTTBridge, pod string, port uint16) {
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	d.print("%s is the page of %s/%s on the pod %s; end the command with Ctrl-C", url, b.Namespace, b.Name, pod)
	if d.shown {
		return
	}
	d.shown, d.port = true, port
	if !hasPage(ctx, url) {
		d.print("note: this version of the runner has no page; it has %sstatus and %smetrics", url, url)
		return
	}
	if _, _, isTerminal := d.terminal(); !d.open || !isTerminal {
		return
	}
	if err := d.openBrowser(url); err != nil {
		d.print("note: no browser can be opened: %v", err)
	}
}

// hasPage reports whether the runner serves a page, false only if it says that it does not.
func hasPage(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, activeInterval)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return true
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return true
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	return response.StatusCode != http.StatusNotFound
}

// openBrowser opens a page in the browser of the user.
func openBrowser(url string) error {
	program, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	return exec.Command(path, args...).Start() //nolint:gosec,noctx // the URL is ours, and the browser outlives the command
}
