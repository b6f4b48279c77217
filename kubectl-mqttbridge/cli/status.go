// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
)

const (
	formWide = "wide"
	formJSON = "json"
	formYAML = "yaml"
)

// statusCommand is the command status.
type statusCommand struct {
	*program
	selection        cluster.Selection
	allNamespaces    bool
	form             string
	watch            bool
	interval, sample time.Duration
	numbers          bool
	exitStatus       bool
}

func (p *program) statusCommand() *cobra.Command {
	s := &statusCommand{program: p}
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show the state of bridges, sorted by trouble, or of one bridge in detail",
		Long: `Show the state of bridges.

Without NAME, a table of all bridges of the namespace: first the bridges that do not forward, then
those whose latest spec cannot be applied, then the degraded ones, the longest trouble first. With
NAME, everything about the bridges: both sides with each server, the latest switches, rates, the
backlog and the runners.

Rates and numbers of messages come from the runners, by the proxy of the API server. They need the
right to get pods/proxy; everything else needs the right to list and get mqttbridges.`,
		Example: `  kubectl mqttbridge status -A --watch
  kubectl mqttbridge status plant-to-cloud -n plant`,
		Args:              s.arguments,
		ValidArgsFunction: p.completeBridges(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&s.allNamespaces, "all-namespaces", "A", false, "show the bridges of all namespaces")
	flags.StringVarP(&s.selection.Labels, "selector", "l", "", "show only the bridges with these labels, as in site=north")
	flags.StringVarP(&s.form, "output", "o", "", "the form of the output: wide, json or yaml (default: a table)")
	flags.BoolVarP(&s.watch, "watch", "w", false, "show the state again and again")
	flags.DurationVar(&s.interval, "interval", 2*time.Second, "with --watch: the time between two views, at least 1s")
	flags.DurationVar(&s.sample, "sample", time.Second, "the time over which rates are measured, without --watch; 0s shows no rates")
	flags.BoolVar(&s.numbers, "numbers", true, "ask the runners for rates and numbers of messages")
	flags.BoolVar(&s.exitStatus, "exit-status", false, "exit with 3 if a shown bridge is NotReady")
	p.complete(cmd, "output", fixed(formWide, formJSON, formYAML))
	return cmd
}

func (s *statusCommand) arguments(_ *cobra.Command, args []string) error {
	switch {
	case s.form != "" && s.form != formWide && s.form != formJSON && s.form != formYAML:
		return usageError("-o %q is no form of the output; use wide, json or yaml", s.form)
	case s.watch && (s.form == formJSON || s.form == formYAML):
		return usageError("--watch and -o %s exclude each other; remove one of them", s.form)
	case len(args) > 0 && s.allNamespaces:
		return usageError("NAME and --all-namespaces exclude each other; name the namespace by -n")
	case len(args) > 0 && s.selection.Labels != "":
		return usageError("NAME and --selector exclude each other; remove one of them")
	case s.interval < time.Second:
		return usageError("--interval %s is too short; use 1s or more", s.interval)
	case s.sample < 0:
		return usageError("--sample %s is negative; use 0s or more", s.sample)
	}
	return nil
}

func (s *statusCommand) run(ctx context.Context, names []string) error {
	client, namespace, err := s.connect()
	if err != nil {
		return err
	}
	s.selection.Names, s.selection.Cached = names, s.watch
	if !s.allNamespaces {
		s.selection.Namespace = namespace
	}
	asker := &asker{client: client, off: !s.numbers}
	if s.watch {
		return s.repeat(ctx, client, asker)
	}
	view, err := s.view(ctx, client, asker)
	if err != nil {
		return err
	}
	if s.sample > 0 && asker.answered() {
		if err := sleep(ctx, s.sample); err != nil {
			return err
		}
		asker.ask(ctx, view)
	}
	if err := s.write(s.Out, view); err != nil {
		return err
	}
	for i := range view.Bridges {
		if s.exitStatus && view.Bridges[i].State == fleet.NotReady {
			return withStatus(partly)
		}
	}
	return nil
}

// view reads the bridges and asks their runners.
func (s *statusCommand) view(ctx context.Context, client *cluster.Client, asker *asker) (*fleet.View, error) {
	bridges, err := client.List(ctx, s.selection)
	if err != nil {
		return nil, err
	}
	view := &fleet.View{Bridges: make([]fleet.Bridge, 0, len(bridges))}
	for i := range bridges {
		view.Bridges = append(view.Bridges, fleet.Of(&bridges[i]))
	}
	view.Sort()
	asker.bridges = bridges
	asker.ask(ctx, view)
	return view, nil
}

// repeat shows the state until the context ends. An error of the API server is shown, and does not
// end the command.
func (s *statusCommand) repeat(ctx context.Context, client *cluster.Client, asker *asker) error {
	for first := true; ; first = false {
		view, err := s.view(ctx, client, asker)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && first:
			return err
		case err != nil:
			view = &fleet.View{Notes: []string{err.Error()}}
		}
		var text bytes.Buffer
		if err := s.write(&text, view); err != nil {
			return err
		}
		head := fmt.Sprintf("%s, every %s\n", time.Now().Format(time.TimeOnly), s.interval)
		if _, _, ok := s.terminal(); ok {
			const home, clearBelow = "\x1b[H", "\x1b[J"
			head = home + clearBelow + head
		}
		if _, err := fmt.Fprintf(s.Out, "%s%s\n", head, &text); err != nil {
			return err
		}
		if err := sleep(ctx, s.interval); err != nil {
			return err
		}
	}
}

// write writes the view in the form of the flags.
func (s *statusCommand) write(out io.Writer, view *fleet.View) error {
	switch s.form {
	case formJSON:
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(view)
	case formYAML:
		data, err := yaml.Marshal(view)
		if err == nil {
			_, err = out.Write(data)
		}
		return err
	}
	style := fleet.Style{Now: time.Now(), Namespaces: s.allNamespaces, Wide: s.form == formWide}
	if width, height, ok := s.terminal(); ok {
		style.Color = os.Getenv("NO_COLOR") == ""
		if s.form != formWide {
			style.Width = width
		}
		if s.watch {
			style.Height = height - 1
		}
	}
	if len(view.Bridges) == 0 && len(view.Notes) == 0 {
		_, err := fmt.Fprintln(out, s.nothing())
		return err
	}
	if len(s.selection.Names) > 0 {
		style.Width = 0
		view.WriteDetail(out, style)
		return nil
	}
	view.WriteTable(out, style)
	return nil
}

// nothing describes an empty view.
func (s *statusCommand) nothing() string {
	selected := ""
	if s.selection.Labels != "" {
		selected = " with the labels " + s.selection.Labels
	}
	if s.selection.Namespace == "" {
		return fmt.Sprintf("The cluster has no bridge%s.", selected)
	}
	return fmt.Sprintf("The namespace %s has no bridge%s; `%s status -A` lists all bridges.", s.selection.Namespace, selected, name)
}

// sleep waits for a time, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
