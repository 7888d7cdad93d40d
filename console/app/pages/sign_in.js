// Signing in with a token.

import { session as askSession } from '../calls/accounts.js';
import { Button } from '../components/button.js';
import { TextField } from '../components/field.js';
import { Jars } from '../components/layout.js';
import { Failure } from '../components/states.js';
import { useAction } from '../load.js';
import { session, signIn } from '../session.js';
import { useSignal } from '../signal.js';
import { html, useEffect, useState } from '../view.js';

/** Asks for a token, tries it, and keeps it for the session. */
export function SignIn() {
    const [token, setToken] = useState('');
    const { ended } = useSignal(session);
    useEffect(() => {
        document.title = 'Sign in · Larder';
    }, []);
    const doing = useAction(async () => {
        const given = token.trim();
        signIn(given, await askSession({ token: given }));
    });
    /** @param {SubmitEvent} event */
    const submit = (event) => {
        event.preventDefault();
        void doing.run();
    };
    return html`<main class="sign-in">
        <form onSubmit=${submit}>
            <h1><${Jars} /> Larder</h1>
            ${ended && !doing.error && html`<p class="notice" role="status">${ended}</p>`}
            <${TextField}
                label="Token"
                type="password"
                isMono
                value=${token}
                onInput=${setToken}
                help="The token is kept until you sign out or close this tab."
                autofocus
                required
            />
            ${doing.error && html`<${Failure} error=${doing.error} />`}
            <${Button} type="submit" kind="primary" isBusy=${doing.isRunning} disabled=${token.trim() === ''}
                >Sign in<//
            >
            <details>
                <summary>Where do I get a token?</summary>
                <p>
                    Larder prints one at its first start and keeps it in <code>larder-data/admin-token</code>. An
                    administrator creates others: <code>larder token create --user NAME</code>, or here, under${' '}
                    <em>Users</em>.
                </p>
            </details>
        </form>
    </main>`;
}
