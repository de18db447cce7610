/** All parts of the page that are about paying, in one file that is loaded once calls can be made. */

import './payment-progress';
import './payments';
import './saved-card';
import './top-up';
