package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector"
)

func collectorUserCommand(data *string) *cobra.Command {
	user := &cobra.Command{
		Use: "user", Short: "Let people and programs in", Args: usageArgs(cobra.NoArgs),
		Long: `Let people and programs in: people by a password kept here or a one-time link,
programs by a token. People who log in with OpenID Connect need nothing here.

  holdfast collector user add ada --role manager
  holdfast collector user token --role viewer ci`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	one := func(use, path, short string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: usageArgs(cobra.ExactArgs(1)), RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, *data, path, collector.AdminRequest{Name: args[0]})
		}}
	}
	user.AddCommand(
		userAddCommand(data), userListCommand(data), userRoleCommand(data), userPasswordCommand(data),
		one("disable NAME", "/user/disable", "Keep a user out and log them out everywhere"),
		one("enable NAME", "/user/enable", "Let a disabled user in again"),
		one("logout NAME", "/user/logout", "End every session of a name, whichever way it logged in"),
		one("remove NAME", "/user/remove", "Remove a user and log them out everywhere"),
		userLoginCommand(data), userTokenCommand(data))
	return user
}

// roleFlag adds --role.
func roleFlag(cmd *cobra.Command, role *string, standard holdfast.Role) {
	cmd.Flags().StringVar(role, "role", string(standard), "`role`, one of "+fmt.Sprint(holdfast.Roles))
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roleNames(), cobra.ShellCompDirectiveNoFileComp))
}

func roleNames() []cobra.Completion {
	list := make([]cobra.Completion, len(holdfast.Roles))
	for i, r := range holdfast.Roles {
		list[i] = string(r)
	}
	return list
}

func userAddCommand(data *string) *cobra.Command {
	var role, file string
	cmd := &cobra.Command{
		Use: "add NAME --role ROLE", Short: "Add a user who logs in with a password",
		Long: `Add a user who logs in with a password. It is asked for on the terminal, or read
from a file or standard input; it has at least 12 characters.

  holdfast collector user add ada --role manager
  pwgen -s 24 1 | tee /dev/tty | holdfast collector user add ada --role manager --password-file -`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return usageError(cmd, fmt.Errorf("--role: say what %s may do, one of %v", args[0], holdfast.Roles))
			}
			password, err := readPassword(cmd, file, args[0])
			if err != nil {
				return err
			}
			return ask(cmd, *data, "/user/add", collector.AdminRequest{Name: args[0], Role: holdfast.Role(role), Password: password})
		},
	}
	roleFlag(cmd, &role, "")
	passwordFlag(cmd, &file)
	return cmd
}

func userPasswordCommand(data *string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "password NAME", Short: "Set a user's password and log them out everywhere", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := readPassword(cmd, file, args[0])
			if err != nil {
				return err
			}
			return ask(cmd, *data, "/user/password", collector.AdminRequest{Name: args[0], Password: password})
		},
	}
	passwordFlag(cmd, &file)
	return cmd
}

func passwordFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "password-file", "", "`file` whose first line is the password; - is standard input")
}

// readPassword reads a password from a file, standard input or the terminal, never
// from the command line: arguments are seen by everybody on the host.
func readPassword(cmd *cobra.Command, file, name string) (string, error) {
	switch file {
	case "":
		return promptPassword(cmd, name)
	case "-":
		return firstLine(cmd.InOrStdin())
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	defer f.Close()
	return firstLine(f)
}

// firstLine is a text up to its first line end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// promptPassword asks twice on the terminal and shows nothing of it.
func promptPassword(cmd *cobra.Command, name string) (string, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usageError(cmd, errors.New("password: there is no terminal to ask on; give --password-file FILE, or - for standard input"))
	}
	var typed [2]string
	for i, say := range []string{"Password for %s (at least 12 characters): ", "The same again, for %s: "} {
		fmt.Fprintf(cmd.ErrOrStderr(), say, clean(name))
		password, err := readSilently(cmd.Context(), int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		typed[i] = password
	}
	if typed[0] != typed[1] {
		return "", errors.New("password: the two are not the same; nothing was changed")
	}
	return typed[0], nil
}

// readSilently reads a line from the terminal and shows nothing of it. An interrupt
// gives the terminal back as it was; the read itself ends with the process.
func readSilently(ctx context.Context, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(terminal)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

func userListCommand(data *string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the users who log in with a password", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := collector.Ask(cmd.Context(), *data, "/users", collector.AdminRequest{})
			if err != nil {
				return adminError(err)
			}
			var users []holdfast.User
			if err := json.Unmarshal([]byte(text), &users); err != nil {
				return fmt.Errorf("collector's answer: %w", err)
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), struct {
					Schema string          `json:"schema"`
					Users  []holdfast.User `json:"users"`
				}{"holdfast.users/v1", users})
			}
			return userTable(cmd.OutOrStdout(), users)
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func userTable(w io.Writer, users []holdfast.User) error {
	var t table
	t.row("NAME", "ROLE", "STATE", "LAST LOGIN", "PASSWORD SET")
	for _, u := range users {
		state, last := "enabled", "never"
		if !u.Disabled.IsZero() {
			state = "disabled"
		}
		if !u.LastLogin.IsZero() {
			last = u.LastLogin.UTC().Format(time.DateTime)
		}
		t.row(u.Name, string(u.Role), state, last, u.Password.UTC().Format(time.DateTime))
	}
	_, err := t.WriteTo(w)
	return err
}

func userRoleCommand(data *string) *cobra.Command {
	return &cobra.Command{
		Use: "role NAME ROLE", Short: "Change what a user may do, at once", Args: usageArgs(cobra.ExactArgs(2)),
		Long: "Change what a user may do, at once. Roles: " + fmt.Sprint(holdfast.Roles),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, *data, "/user/role", collector.AdminRequest{Name: args[0], Role: holdfast.Role(args[1])})
		},
	}
}

func userLoginCommand(data *string) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "login NAME", Short: "Print a one-time link that logs a person in", Args: usageArgs(cobra.ExactArgs(1)),
		Long: `Print a one-time link that logs a person in, good for an hour. A user who has a
password here gets that user's own role; anybody else the one asked for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, *data, "/login", collector.AdminRequest{Name: args[0], Role: holdfast.Role(role)})
		},
	}
	roleFlag(cmd, &role, "")
	cmd.Flags().Lookup("role").Usage += " (default a user's own, else admin)"
	return cmd
}

func userTokenCommand(data *string) *cobra.Command {
	var role string
	ttl := holdfast.Duration(0)
	cmd := &cobra.Command{
		Use: "token --role ROLE [NAME]", Short: "Print a token for the API", Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "token-" + role
			if len(args) == 1 {
				name = args[0]
			}
			return ask(cmd, *data, "/token", collector.AdminRequest{Name: name, Role: holdfast.Role(role), Life: ttl})
		},
	}
	roleFlag(cmd, &role, holdfast.Viewer)
	cmd.Flags().Var(durationFlag{&ttl}, "ttl", "how long it lasts; 0: until it is revoked")
	return cmd
}
