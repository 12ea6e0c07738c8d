package collector

import (
	"context"
	"encoding/json"
	"fmt"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// answerUsers adds what the admin socket does about people.
func (c *Collector) answerUsers(answer func(pattern string, make adminAnswer)) {
	a := c.access
	answer("POST /users", func(ctx context.Context, _ AdminRequest) (string, error) {
		list, err := a.users(ctx)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(list)
		return string(text), err
	})
	answer("POST /user/add", func(ctx context.Context, ask AdminRequest) (string, error) {
		u, err := a.addUser(ctx, ask.Name, ask.Role, ask.Password)
		return fmt.Sprintf("user %s may log in as %s", u.Name, u.Role), err
	})
	change := func(pattern, say string, of func(AdminRequest) holdfast.UserChange) {
		answer(pattern, func(ctx context.Context, ask AdminRequest) (string, error) {
			u, err := a.changeUser(ctx, fold(ask.Name), of(ask))
			return fmt.Sprintf(say, u.Name, u.Role), err
		})
	}
	yes, no := true, false
	change("POST /user/role", "user %s is %s from now on", func(ask AdminRequest) holdfast.UserChange { return holdfast.UserChange{Role: &ask.Role} })
	change("POST /user/password", "user %s, %s, has a new password and is logged out everywhere", func(ask AdminRequest) holdfast.UserChange { return holdfast.UserChange{Password: &ask.Password} })
	change("POST /user/disable", "user %s, %s, is disabled and logged out everywhere", func(AdminRequest) holdfast.UserChange { return holdfast.UserChange{Disabled: &yes} })
	change("POST /user/enable", "user %s may log in again as %s", func(AdminRequest) holdfast.UserChange { return holdfast.UserChange{Disabled: &no} })
	answer("POST /user/logout", func(ctx context.Context, ask AdminRequest) (string, error) {
		return fmt.Sprintf("%s is logged out everywhere", ask.Name), a.endAll(ctx, ask.Name)
	})
	answer("POST /user/remove", func(ctx context.Context, ask AdminRequest) (string, error) {
		return fmt.Sprintf("user %s is removed and logged out everywhere", fold(ask.Name)), a.removeUser(ctx, fold(ask.Name))
	})
}
