// Entry point of the console: sign-in and routes.

import { session as askSession } from './calls/accounts.js';
import { Layout, PageHead } from './components/layout.js';
import { Empty, Failure, Loading } from './components/states.js';
import { useLoad } from './load.js';
import { Integrations } from './pages/integrations.js';
import { RunPage } from './pages/run.js';
import { Runs } from './pages/runs.js';
import { SignIn } from './pages/sign_in.js';
import { StorePage } from './pages/store/store.js';
import { Stores } from './pages/stores.js';
import { Users } from './pages/users.js';
import { address, followLinks, usePlace } from './router.js';
import { account, session } from './session.js';
import { useSignal } from './signal.js';
import { applyTheme } from './theme.js';
import { html, render } from './view.js';

/** Everything. */
function Console() {
    const { token } = useSignal(session);
    if (token === null) return html`<${SignIn} />`;
    return html`<${Layout}><${SignedIn} key=${token} /><//>`;
}

/** The page, once the signed-in user is known: the permitted actions depend on it. */
function SignedIn() {
    const known = useSignal(account);
    const { error, reload } = useLoad(async (signal) => {
        if (account.get() === null) account.set(await askSession({ signal }));
    }, []);
    if (known) return html`<${Page} />`;
    if (error) return html`<${Failure} error=${error} onRetry=${reload} />`;
    return html`<${Loading} what="your account" />`;
}

/** The page that the address means. */
function Page() {
    const { path } = usePlace();
    const [area, id, ...more] = path;
    if (more.length === 0) {
        switch (area) {
            case undefined:
                return html`<${Stores} />`;
            case 'key-value-stores':
                return id === undefined ? html`<${Stores} />` : html`<${StorePage} key=${id} id=${id} />`;
            case 'runs':
                return id === undefined ? html`<${Runs} />` : html`<${RunPage} key=${id} id=${id} />`;
            case 'integrations':
                if (id === undefined) return html`<${Integrations} />`;
                break;
            case 'users':
                if (id === undefined) return html`<${Users} />`;
                break;
            case 'sign-in':
                return html`<${Stores} />`;
            default:
        }
    }
    return html`<${PageHead} title="No such page" />
        <${Empty} title="There is nothing here"
            ><p><a href=${address([])}>All stores</a></p><//
        >`;
}

applyTheme();
followLinks();
const root = document.getElementById('console');
if (root) render(html`<${Console} />`, root);
