// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli has the commands of the plugin of kubectl. Package cluster reads the cluster, package
// fleet shows bridges, and package bundle makes support bundles; the commands check, explain and
// import are the commands of the runner (bridge-runner/command).
package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// name is the name of the plugin for users.
const name = "kubectl mqttbridge"

// The exit statuses, in addition to the statuses of package command.
const (
	done    = command.Done
	failed  = command.Failed
	usage   = command.Usage
	partly  = command.Partly
	timeout = 4
)

// statusError is an error with an exit status. The error may be nil, if the output has the reason.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// withStatus returns an error for an exit status, nil if the command is done.
func withStatus(status int) error {
	if status == done {
		return nil
	}
	return &statusError{status: status}
}

func usageError(format string, args ...any) error {
	return &statusError{usage, fmt.Errorf(format, args...)}
}

// program is what all commands share.
type program struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
	// openBrowser opens a page.
	openBrowser func(url string) error
}

// Run runs the plugin, and returns the exit status.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	p := &program{streams, newFlags(), openBrowser}
	return p.run(ctx, args)
}

// newFlags returns the flags of kubectl.
func newFlags() *genericclioptions.ConfigFlags { return genericclioptions.NewConfigFlags(true) }

func (p *program) run(ctx context.Context, args []string) int {
	root := p.root() //nolint:contextcheck // completions use the context of their command
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var status *statusError
	switch ended := ctx.Err() != nil; {
	case err == nil, ended && isEndless(cmd) && errors.Is(err, ctx.Err()):
		return done
	case ended && !isEndless(cmd):
		if !errors.Is(err, errEnded) { // otherwise it names the bridges that are changed
			err = fmt.Errorf("%w; `%s status` shows the state of the bridges", errEnded, name)
		}
		status = &statusError{failed, err}
	case !errors.As(err, &status):
		status = &statusError{failed, err}
	}
	if status.err != nil {
		p.tell("%s: %v", name, err)
		if right := (*cluster.MissingRight)(nil); errors.As(err, &right) {
			p.tell("The API server answers: %v", right.Unwrap())
		}
		if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
			p.tell("The API server cannot be reached: check the context of kubectl, or name another one by --context or --kubeconfig.")
		}
	}
	if status.status == usage && status.err != nil {
		p.tell("Run `%s --help`, or --help after the name of a command.", name)
	}
	return status.status
}

// isEndless reports whether a command runs until the user ends it.
func isEndless(cmd *cobra.Command) bool {
	for _, name := range []string{"watch", "follow"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.String() == "true" {
			return true
		}
	}
	return cmd.Name() == "dashboard"
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:         "kubectl-mqttbridge",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Short:       "Show and control MQTT bridges",
		Long: `Show and control MQTT bridges.

Exit status: 0 done, 1 error, 2 wrong arguments, 3 refused or not complete (a server cannot be used, a
switch is refused, something has no counterpart, a bridge is not ready), 4 not done in time.`,
		Version:       buildinfo.Line("kubectl-mqttbridge"),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.ErrOut)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &statusError{usage, err} })
	p.flags.AddFlags(root.PersistentFlags())
	p.complete(root, "namespace", p.completeNamespaces)
	root.AddCommand(
		p.statusCommand(), p.switchCommand(), p.suspendCommand(true), p.suspendCommand(false), p.handOverCommand(),
		p.explainCommand(), p.checkCommand(), p.importCommand(),
		p.eventsCommand(), p.logsCommand(), p.reportCommand(), p.dashboardCommand(),
	)
	return root
}

// between returns a check of the number of arguments. most is -1 for no limit.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usageError("the command needs %s; it has %s: %q", what, count.Of(len(args), "argument"), args)
		}
		return nil
	}
}

// client returns a client for the cluster of the flags.
func (p *program) client() (*cluster.Client, error) {
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	return cluster.New(config)
}

// namespace returns the namespace of the flags and of the kubeconfig.
func (p *program) namespace() (string, error) {
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// connect returns a client, and the namespace of the flags.
func (p *program) connect() (*cluster.Client, string, error) {
	client, err := p.client()
	if err != nil {
		return nil, "", err
	}
	namespace, err := p.namespace()
	return client, namespace, err
}

// terminal returns the size of the terminal that the output goes to, and false if it does not go to
// one.
func (p *program) terminal() (width, height int, ok bool) {
	file, isFile := p.Out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(file.Fd()))
	return width, height, err == nil
}

func (p *program) print(format string, args ...any) { _, _ = fmt.Fprintf(p.Out, format+"\n", args...) }

// tell writes an error or a note. The API server and its webhooks choose a part of the words.
func (p *program) tell(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		_, _ = fmt.Fprintln(p.ErrOut, printable.Text(line))
	}
}
